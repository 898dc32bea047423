package schema

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite want.tsv of every golden case")

// Rows in, query, rows out. Each testdata/<view>/<case>.txtar says in its
// comment which rule it holds, and has
//
//	events.tsv    the columns that matter of each row of `events`
//	lineage.tsv   token, parent, … ; the rest is taken from the event of that birth
//	sites.tsv     where a site is not as by default
//	query.sql     ordered to the last tie
//	want.tsv      rewritten by -update
func TestGolden(t *testing.T) {
	db := connect(t)
	cases, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, path := range cases {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "testdata/"), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file := func(name string) (int, string) {
				i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
				if i < 0 {
					return i, ""
				}
				return i, string(archive.Files[i].Data)
			}
			db.empty(t)
			_, events := file("events.tsv")
			db.insertEvents(t, events)
			if _, lineage := file("lineage.tsv"); lineage != "" {
				db.insertLineage(t, lineage)
			}
			if _, sites := file("sites.tsv"); sites != "" {
				db.insert(t, "sites", sites, map[string]string{"said": "now64(3, 'UTC')"})
			}
			_, query := file("query.sql")
			if !strings.Contains(strings.ToLower(query), "order by") {
				t.Fatal("query.sql does not say the order of its rows")
			}
			got := db.query(t, query)
			i, want := file("want.tsv")
			if got == want {
				return
			}
			if *update {
				if i < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "want.tsv"})
					i = len(archive.Files) - 1
				}
				archive.Files[i].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		})
	}
}

// insertEvents fills the columns that a case does not give: the day is UTC's,
// an event is received when it happens, rows are numbered as they stand.
func (db testDB) insertEvents(t *testing.T, tsv string) {
	t.Helper()
	db.insert(t, "events", tsv, map[string]string{
		"site": "'news.example'", "day": "toDate(time)", "received": "time", "privacy": "'full'",
		"batch": "'spool.0.202610'", "row": "line", "seq": "NULL",
	})
}

// insertLineage completes a row of lineage from the event of its birth.
func (db testDB) insertLineage(t *testing.T, tsv string) {
	t.Helper()
	db.insert(t, "lineage", tsv, map[string]string{
		"site": "birth.site", "kind": "birth.kind", "via": "if(birth.kind = 'share', birth.view, birth.via)", "parent": "''", "depth": "0",
		"origin": "given.token", "time": "birth.time", "received": "birth.received", "day": "birth.day",
		"page": "birth.page", "visitor": "birth.visitor", "network": "birth.network", "returned": "birth.return",
		"plain": "birth.referrer = '' and birth.app = '' and birth.package_channel = ''", "generation": "-1", "version": "1",
	})
}

func (db testDB) insert(t *testing.T, table, tsv string, defaults map[string]string) {
	t.Helper()
	head, body, _ := strings.Cut(tsv, "\n")
	columns := strings.Split(head, "\t")
	structure := make([]string, len(columns))
	selected := make([]string, len(columns))
	for i, c := range columns {
		structure[i] = "`" + c + "` String"
		selected[i] = "given.`" + c + "`"
		if c == "time" {
			selected[i] = "toDateTime64(given.`time`, 3, 'UTC') as time"
		}
		if c == "origin" {
			selected[i] = "if(given.`origin` = '', given.`token`, given.`origin`) as origin"
		}
		if c == "seq" {
			selected[i] = "nullIf(given.`seq`, '')"
		}
	}
	var lines strings.Builder
	n := 0
	for line := range strings.Lines(body) {
		n++
		if got := strings.Count(line, "\t") + 1; got != len(columns) {
			t.Fatalf("%s.tsv:%d: %d columns, want %d", table, n+1, got, len(columns))
		}
		fmt.Fprintf(&lines, "%d\t%s", n, line)
	}
	for _, c := range slices.Sorted(maps.Keys(defaults)) {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
			selected = append(selected, defaults[c]+" as `"+c+"`")
		}
	}
	for i, c := range columns {
		columns[i] = "`" + c + "`"
	}
	statement := fmt.Sprintf("INSERT INTO passalong.%s (%s)\nSELECT %s\nFROM format(TSV, 'line UInt64, %s', %s) AS given",
		table, strings.Join(columns, ", "), strings.Join(selected, ", "), strings.Join(structure, ", "), quoted(lines.String()))
	if table == "lineage" {
		statement += `
LEFT JOIN
(
    SELECT
        if(e.type = 'view', e.view, e.token) AS token,
        argMin(multiIf(e.type IN ('view', 'share'), e.type::String, 'link'), e.received) AS kind,
        argMin((e.view, e.via, e.site, e.day, e.page, e.visitor, e.network, e.return, e.referrer, e.app, e.package_channel), e.received) AS first,
        first.1 AS view, first.2 AS via, first.3 AS site, first.4 AS day, first.5 AS page, first.6 AS visitor, first.7 AS network,
        first.8 AS return, first.9 AS referrer, first.10 AS app, first.11 AS package_channel,
        min(e.time) AS time, min(e.received) AS received
    FROM passalong.events AS e
    WHERE e.type IN ('view', 'share', 'link') AND e.bot = 0
    GROUP BY token
) AS birth ON birth.token = given.token`
	}
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("insert %s: %v\n%s", table, err, statement)
	}
}

func (db testDB) empty(t testing.TB) {
	t.Helper()
	for _, table := range []string{"events", "lineage", "sites"} {
		if _, err := db.ExecContext(context.Background(), "TRUNCATE TABLE passalong."+table); err != nil {
			t.Fatal(err)
		}
	}
}

// query gives the answer as tab-separated text with the names of the columns.
func (db testDB) query(t testing.TB, query string) string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(strings.Join(columns, "\t") + "\n")
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = text(v)
		}
		b.WriteString(strings.Join(texts, "\t") + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return b.String()
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return `\N`
	case float64:
		return strconv.FormatFloat(v, 'g', 10, 64)
	case *float64:
		if v == nil {
			return `\N`
		}
		return text(*v)
	case *int64:
		if v == nil {
			return `\N`
		}
		return text(*v)
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return v.Format("2006-01-02")
		}
		return v.Format("2006-01-02 15:04:05.000")
	case map[string]float64:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+" "+text(v[k]))
		}
		return strings.Join(parts, ", ")
	case []string:
		return strings.Join(v, " ")
	}
	return fmt.Sprint(v)
}
