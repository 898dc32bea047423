package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

// facts are the tables of facts/, each line one fact with where it is from.
// They are rendered into the SQL functions: a template asks for them by
//
//	{{prior "expected_kept"}}   {{worth "expected_kept"}}
//	{{channels "private"}}      the channels of a class, a list of strings
//	{{priors_of_channels}}      two arrays for transform(): names, probabilities
//	{{clickids "means"}}        two arrays for transform(): kinds, values
//	{{ga4}}                     two arrays for transform(): sources, categories
type facts struct {
	channels, clickids, ga4, priors table
}

// A table is a tab-separated file: the first line names the columns, the
// others are sorted.
type table struct {
	name    string
	columns []string
	rows    [][]string
}

func readFacts() (facts, error) {
	var f facts
	for _, t := range []struct {
		name string
		into *table
	}{{"channels", &f.channels}, {"clickids", &f.clickids}, {"ga4_sources", &f.ga4}, {"priors", &f.priors}} {
		text, err := files.ReadFile("facts/" + t.name + ".tsv")
		if err != nil {
			return f, err
		}
		if *t.into, err = readTable("facts/"+t.name+".tsv", string(text)); err != nil {
			return f, err
		}
	}
	return f, nil
}

func readTable(name, text string) (table, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	t := table{name: name, columns: strings.Split(lines[0], "\t")}
	for i, line := range lines[1:] {
		row := strings.Split(line, "\t")
		if len(row) != len(t.columns) {
			return t, fmt.Errorf("%s:%d: %d columns, the first line has %d", name, i+2, len(row), len(t.columns))
		}
		t.rows = append(t.rows, row)
	}
	return t, nil
}

func (t table) column(name string) (int, error) {
	i := slices.Index(t.columns, name)
	if i < 0 {
		return 0, fmt.Errorf("%s has no column %s", t.name, name)
	}
	return i, nil
}

// pairs is "[keys], [values]" of the rows that keep holds for.
func (t table) pairs(key, value string, quote func(string) string, keep func(row []string) bool) (string, error) {
	k, err := t.column(key)
	if err != nil {
		return "", err
	}
	v, err := t.column(value)
	if err != nil {
		return "", err
	}
	var keys, values []string
	for _, row := range t.rows {
		if keep(row) {
			keys, values = append(keys, quoted(row[k])), append(values, quote(row[v]))
		}
	}
	return "[" + strings.Join(keys, ", ") + "], [" + strings.Join(values, ", ") + "]", nil
}

func quoted(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func number(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(f, 'e', -1, 64) // always a Float64 literal
	}
	return s // ClickHouse will say where
}

func (f facts) funcs() template.FuncMap {
	all := func([]string) bool { return true }
	return template.FuncMap{
		"prior": func(name string) (string, error) { return f.prior(name, "value") },
		"worth": func(name string) (string, error) { return f.prior(name, "worth") },
		"channels": func(class string) string {
			var names []string
			for _, row := range f.channels.rows {
				if row[1] == class {
					names = append(names, quoted(row[0]))
				}
			}
			return strings.Join(names, ", ")
		},
		"priors_of_channels": func() (string, error) { return f.channels.pairs("channel", "prior", number, all) },
		"clickids":           func(column string) (string, error) { return f.clickids.pairs("clickid", column, quoted, all) },
		"ga4":                f.sources,
	}
}

func (f facts) prior(name, column string) (string, error) {
	c, err := f.priors.column(column)
	if err != nil {
		return "", err
	}
	for _, row := range f.priors.rows {
		if row[0] == name {
			return number(row[c]), nil
		}
	}
	return "", fmt.Errorf("%s has no prior %s", f.priors.name, name)
}

// sources writes a brand twice: as a source of its own, and with `*.` before
// it for a host under any top-level domain.
func (f facts) sources() string {
	var keys, values []string
	for _, row := range f.ga4.rows {
		match, value, category := row[0], row[1], row[2]
		keys, values = append(keys, quoted(value)), append(values, quoted(category))
		if match == "brand" {
			keys, values = append(keys, quoted("*."+value)), append(values, quoted(category))
		}
	}
	return "[" + strings.Join(keys, ", ") + "], [" + strings.Join(values, ", ") + "]"
}
