package dashboards_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/dashboards"
	"github.com/passalong/passalong/schema"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// asGrafana stands for the plugin: its macros and variables as it writes them.
var asGrafana = strings.NewReplacer(
	"${site:singlequote}", "'news.example','shop.example'",
	"$__fromTime", "toDateTime(1760000000)",
	"$__toTime", "toDateTime(1800000000)",
)

// Every question is asked as the reading user, in both of its spellings.
func TestQueriesRunAsTheReader(t *testing.T) {
	e := enginetest.Start(t)
	if err := schema.Apply(t.Context(), e.DSN(), schema.Options{}); err != nil {
		t.Fatal(err)
	}
	o, err := clickhouse.ParseDSN(e.ReaderDSN())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	run := func(ctx context.Context, q string) error {
		rows, err := conn.Query(ctx, q)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	}
	all, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range all {
		t.Run(q.Name, func(t *testing.T) {
			grafana := asGrafana.Replace(q.Grafana())
			if strings.Contains(grafana, "$") {
				t.Errorf("a macro is left that nobody expands:\n%s", grafana)
			}
			if err := run(t.Context(), grafana); err != nil {
				t.Errorf("as Grafana asks: %v", err)
			}
			ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{
				"sites": "['news.example']", "from": "2026-01-01", "to": "2026-12-31",
			}))
			if err := run(ctx, q.SQL); err != nil {
				t.Errorf("with parameters: %v", err)
			}
		})
	}
}
