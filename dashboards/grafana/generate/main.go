// Command generate makes Grafana's boards from the questions in ../queries.
//
// Run it by `make generate`, in dashboards/grafana; it writes boards/*.json,
// which are committed and never edited by hand. The same input gives the same
// bytes. What surprises: no board names a data source by its uid; each has a
// variable `datasource`, so that it can be imported anywhere.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/passalong/passalong/dashboards"
)

const plugin = "grafana-clickhouse-datasource"

func main() {
	if err := run("boards"); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	all, err := dashboards.Queries()
	if err != nil {
		return err
	}
	q := map[string]dashboards.Query{}
	for _, one := range all {
		q[one.Name] = one
	}
	board, err := privateSharing(q).Build()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(board, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "private-sharing.json"), append(text, '\n'), 0o644)
}

// privateSharing is the board a newsroom keeps open.
func privateSharing(q map[string]dashboards.Query) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder("Passalong: private sharing").
		Uid("passalong-private-sharing").
		Description("How much of Direct was private sharing, through which app, and how far it was handed on. Counts of dark social are sums of probabilities.").
		Tags([]string{"passalong"}).
		Time("now-30d", "now").
		Timezone("utc").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type(plugin)).
		WithVariable(sites()).
		WithPanel(series(q["direct_taken_apart"], 16).Unit("short")).
		WithPanel(series(q["now"], 8).Unit("short")).
		WithPanel(series(q["channels_over_time"], 12).Unit("short")).
		WithPanel(series(q["generations"], 12).Unit("short")).
		WithPanel(rows(q["top_pages"], 24)).
		WithPanel(rows(q["trees"], 24)).
		WithPanel(rows(q["copies"], 12)).
		WithPanel(rows(q["orders"], 12))
}

func sites() *dashboard.QueryVariableBuilder {
	sql := "select distinct site from passalong.events order by site"
	return dashboard.NewQueryVariableBuilder("site").
		Label("Site").
		Datasource(source()).
		Query(dashboard.StringOrMap{String: &sql}).
		Refresh(dashboard.VariableRefreshOnDashboardLoad).
		Multi(true).
		IncludeAll(true)
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr(plugin), Uid: cog.ToPtr("${datasource}")}
}

// series is a question over time. Legend and tooltip are set every time: the
// SDK leaves required fields empty otherwise.
func series(q dashboards.Query, width uint32) *timeseries.PanelBuilder {
	return timeseries.NewPanelBuilder().
		Title(q.Question).
		Description(q.About).
		Datasource(source()).
		WithTarget(sql{q, "timeseries"}).
		Span(width).Height(9).
		Min(0).
		FillOpacity(12).
		LineWidth(2).
		NoValue("No visits in this period. Embed the snippet, or widen the period.").
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
}

// rows is a question answered by a table.
func rows(q dashboards.Query, width uint32) *table.PanelBuilder {
	return table.NewPanelBuilder().
		Title(q.Question).
		Description(q.About).
		Datasource(source()).
		WithTarget(sql{q, "table"}).
		Span(width).Height(10).
		NoValue("Nothing yet in this period.")
}

// sql is the ClickHouse plugin's query model, version 4.
type sql struct {
	query dashboards.Query
	kind  string
}

func (s sql) Build() (variants.Dataquery, error) {
	format := 1
	if s.kind == "timeseries" {
		format = 0
	}
	return variants.UnknownDataquery{
		"refId":      "A",
		"datasource": map[string]any{"type": plugin, "uid": "${datasource}"},
		"editorType": "sql",
		"rawSql":     s.query.Grafana(),
		"format":     format,
		"queryType":  s.kind,
	}, nil
}
