package dashboards_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"github.com/passalong/passalong/dashboards"
)

// Each board is what the SDK knows, strictly, and each panel answers a
// question: it has a title, a description, an empty state and one query.
func TestBoardsAreWhole(t *testing.T) {
	boards, _ := filepath.Glob("grafana/boards/*.json")
	if len(boards) == 0 {
		t.Fatal("no boards; run make generate")
	}
	for _, file := range boards {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board dashboard.Dashboard
		var problems cog.BuildErrors // the SDK hands back an empty list where it means none
		if err := board.UnmarshalJSONStrict(text); err != nil && (!errors.As(err, &problems) || len(problems) > 0) {
			t.Errorf("%s: %v", file, err)
		}
		var raw struct {
			Panels []struct {
				Title, Description string
				FieldConfig        struct{ Defaults struct{ NoValue string } }
				Targets            []struct{ RawSql string }
			}
		}
		if err := json.Unmarshal(text, &raw); err != nil {
			t.Fatal(err)
		}
		for _, p := range raw.Panels {
			if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.NoValue == "" || len(p.Targets) != 1 {
				t.Errorf("%s: panel %q lacks a description, an empty state or its one query", file, p.Title)
			}
		}
		if uid := regexp.MustCompile(`"uid": "([^"$]+)"`).FindAllSubmatch(text, -1); len(uid) != 1 {
			t.Errorf("%s: %d fixed uids, want the board's own only", file, len(uid))
		}
	}
}

// No question may be asked twice in two spellings, or be left out.
func TestEveryQueryIsOnABoard(t *testing.T) {
	all, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	boards, _ := filepath.Glob("grafana/boards/*.json")
	var text strings.Builder
	for _, file := range boards {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	for _, q := range all {
		sql, _ := json.Marshal(q.Grafana())
		plain := strings.NewReplacer(`\u003e`, ">", `\u003c`, "<", `\u0026`, "&").Replace(string(sql))
		if board := strings.NewReplacer(`\u003e`, ">", `\u003c`, "<", `\u0026`, "&").Replace(text.String()); !strings.Contains(board, plain) {
			t.Errorf("%s is on no board; run make generate", q.Name)
		}
		if strings.Contains(q.Grafana(), "{") && !strings.Contains(q.Grafana(), "${site") {
			t.Errorf("%s: a parameter is left in Grafana's form:\n%s", q.Name, q.Grafana())
		}
	}
}
