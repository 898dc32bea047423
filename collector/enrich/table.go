package enrich

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A table is one file of facts: tab-separated, one header line, one fact a
// line, sorted by its first column. Every table ends in the columns example,
// source and date, so that a fact can be checked by whoever doubts it.
type table struct {
	file string
	rows []row
}

// A row is one fact and where it stands.
type row struct {
	file  string
	line  int
	cells []string // in the order of the table's columns
}

func (r row) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", r.file, r.line, fmt.Sprintf(format, args...))
}

func (r row) example() string { return r.cells[len(r.cells)-3] }

// readTable reads a table whose own columns are given; the three that every
// table has come behind them. Errors name file and line.
func readTable(fsys fs.FS, file string, columns ...string) (*table, error) {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%s: not UTF-8", file)
	}
	columns = append(slices.Clone(columns), "example", "source", "date")
	lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	if want := strings.Join(columns, "\t"); lines[0] != want {
		return nil, fmt.Errorf("%s:1: the header is %q, want %q", file, lines[0], want)
	}
	t := &table{file: file}
	before := ""
	for i, line := range lines[1:] {
		r := row{file: file, line: i + 2, cells: strings.Split(line, "\t")}
		if len(r.cells) != len(columns) {
			return nil, r.errorf("%d cells, want %d (%s)", len(r.cells), len(columns), strings.Join(columns, ", "))
		}
		for n, cell := range r.cells {
			if cell != strings.TrimSpace(cell) || strings.ContainsAny(cell, "\r\x00") {
				return nil, r.errorf("%s: a space or control character at its edge", columns[n])
			}
		}
		key := r.cells[0]
		switch {
		case key == "":
			return nil, r.errorf("%s is empty", columns[0])
		case key == before:
			return nil, r.errorf("%q stands twice", key)
		case key < before:
			return nil, r.errorf("not sorted: %q after %q", key, before)
		case r.example() == "":
			return nil, r.errorf("no example")
		case r.cells[len(r.cells)-2] == "":
			return nil, r.errorf("no source")
		}
		if _, err := time.Parse(time.DateOnly, r.cells[len(r.cells)-1]); err != nil {
			return nil, r.errorf("date %q is not like 2026-11-24", r.cells[len(r.cells)-1])
		}
		before = key
		t.rows = append(t.rows, r)
	}
	return t, nil
}
