// Package dashboards holds the questions that the built-in page and Grafana
// ask, one SQL file a question, so that both show the same numbers.
//
// A query reads views only. Its first comment line is the question, the next
// ones say what a row is and what misleads. It takes three parameters in
// ClickHouse's own form: {sites:Array(String)}, {from:Date} and {to:Date}.
// Grafana's boards in grafana/ are generated from these files; never edit them
// by hand.
package dashboards

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:generate sh -c "cd grafana && go run ./generate"

//go:embed queries/*.sql
var files embed.FS

// A Query is one question.
type Query struct {
	Name     string // file name without its end
	Question string // title
	About    string // what a row is, and what misleads
	SQL      string // with its three parameters
}

// Queries returns all questions in the order of their names.
func Queries() ([]Query, error) {
	names, err := fs.Glob(files, "queries/*.sql")
	if err != nil {
		return nil, err
	}
	var all []Query
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		q, err := parse(strings.TrimSuffix(path.Base(name), ".sql"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	return all, nil
}

func parse(name, text string) (Query, error) {
	q := Query{Name: name}
	var about []string
	for {
		line, rest, _ := strings.Cut(text, "\n")
		comment, ok := strings.CutPrefix(line, "-- ")
		if !ok {
			break
		}
		if q.Question == "" {
			q.Question = comment
		} else {
			about = append(about, comment)
		}
		text = rest
	}
	q.About, q.SQL = strings.Join(about, "\n"), strings.TrimSpace(text)
	if q.Question == "" || q.About == "" || q.SQL == "" {
		return q, fmt.Errorf("query %s: begins with a question, then what a row is, then SQL", name)
	}
	return q, nil
}

var toGrafana = strings.NewReplacer(
	"{sites:Array(String)}", "(${site:singlequote})",
	"{from:Date}", "toDate($__fromTime)",
	"{to:Date}", "toDate($__toTime)",
)

// Grafana is the query with Grafana's macros in place of the parameters.
func (q Query) Grafana() string { return toGrafana.Replace(q.SQL) }
