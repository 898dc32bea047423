// Package collector_test holds the walls of the house: which package may know
// what, each with its reason.
package collector_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/passalong/passalong/"

// A wall keeps an import inside the packages that own it.
var walls = []struct {
	imports string   // path prefix
	only    []string // packages that may import it, in their code; tests are free
	reason  string
}{
	{"github.com/gofiber/", []string{"collector/web"}, "HTTP is one package's business; what a beacon means must not depend on it"},
	{"github.com/valyala/fasthttp", []string{"collector/web"}, "the same"},
	{"github.com/ClickHouse/", []string{"collector/store", "collector/loader", "schema"}, "one way to the database"},
	{"github.com/cockroachdb/pebble", []string{"collector/spool"}, "the spool's format is its own secret"},
	{"github.com/ebitengine/purego", []string{"collector/engine"}, "the library is only ever called in the child process"},
	{"github.com/prometheus/", []string{"collector/metrics", "collector/web"}, "labels come from fixed sets in one place"},
	{"github.com/alecthomas/kong", []string{"collector/config", "collector/cmd/passalong"}, "settings are parsed once"},
	{"github.com/BurntSushi/toml", []string{"collector/config"}, "the same"},
	{"github.com/mssola/useragent", []string{"collector/enrich"}, "agents end in enrich"},
	{"github.com/oschwald/", []string{"collector/geo"}, "addresses end in geo and enrich"},
	{"github.com/pressly/goose", []string{"schema"}, "migrations are the schema's"},
	{"github.com/grafana/", []string{"dashboards/grafana/generate"}, "the generator's business; nothing at run time"},
}

// A pure package knows neither the network nor files, databases or the clock.
var pure = map[string]string{
	"collector/token":   "the clock and chance are arguments",
	"collector/hit":     "the wire format, nothing else",
	"collector/event":   "a row",
	"collector/site":    "what is configured",
	"collector/lineage": "decided from births alone, the same in any order",
}

var impure = []string{"net/http", "net", "os", "os/exec", "database/sql", "syscall"}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
	Doc        string
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps,Doc", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
	if len(all) < 15 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func TestWalls(t *testing.T) {
	for _, p := range list(t) {
		for _, w := range walls {
			if slices.Contains(w.only, p.ImportPath) {
				continue
			}
			for _, imp := range p.Imports {
				if strings.HasPrefix(imp, w.imports) {
					t.Errorf("%s imports %s, which only %s may: %s", p.ImportPath, imp, strings.Join(w.only, ", "), w.reason)
				}
			}
		}
		why, isPure := pure[p.ImportPath]
		for _, imp := range p.Imports {
			if isPure && slices.Contains(impure, imp) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
			if p.ImportPath == "collector/enrich" && (imp == "net/http" || imp == "net") {
				t.Errorf("enrich imports %s: it opens no socket", imp)
			}
			if p.ImportPath == "schema" && strings.HasPrefix(imp, module+"collector/") {
				t.Errorf("schema imports %s: anybody's tool must be able to apply it", imp)
			}
			if base := filepath.Base(imp); strings.HasPrefix(imp, module) && (base == "util" || base == "common" || base == "helpers") {
				t.Errorf("%s imports %s: a folder says what a thing is for", p.ImportPath, imp)
			}
		}
	}
}

// Only cmd, web and what stands for the outside world read a clock; the rest
// is told the time.
func TestPurePackagesReadNoClock(t *testing.T) {
	for _, p := range list(t) {
		if _, ok := pure[p.ImportPath]; !ok && p.ImportPath != "collector/enrich" && p.ImportPath != "collector/intake" {
			continue
		}
		for _, file := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := call.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Tick", "Sleep"}, call.Sel.Name) {
					t.Errorf("%s: time.%s; the time is an argument here", fset.Position(call.Pos()), call.Sel.Name)
				}
				return true
			})
		}
	}
}

func TestEveryPackageHasOneDoc(t *testing.T) {
	for _, p := range list(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		docs := 0
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs++
			}
		}
		if docs != 1 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, docs)
		}
	}
}
