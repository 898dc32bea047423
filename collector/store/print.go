package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// WriteQuery runs one query that reads and writes its answer to w, in a format
// by ClickHouse's name; empty: TSVWithNames. A FORMAT at the end of the query
// goes before. Rows are written as they come, in the query's order; memory does
// not grow with their number.
//
// A SELECT becomes `SELECT formatRow('TSV', *) FROM (query)`: so every type is
// printed by the server itself, exactly as its own client would. What cannot
// stand in parentheses (SHOW, DESCRIBE, EXPLAIN, EXISTS) is run first and its
// few rows are given back to the server to print. Formats that are more than
// their rows go through Convert.
func (db *DB) WriteQuery(ctx context.Context, w io.Writer, query, format string) error {
	s, err := parse(query)
	if err != nil {
		return err
	}
	if !s.reads() {
		return fmt.Errorf("%s is no statement that reads; here go SELECT, WITH, SHOW, DESCRIBE, EXPLAIN and EXISTS", s.verb)
	}
	if s.format != "" {
		format = s.format
	}
	if format == "" {
		format = defaultFormat
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		// The verb was looked at, but only the server can tell what a query does.
		// 1, so that not even the setting can be changed back.
		"readonly": 1,
	}))
	p := &printer{db: db, statement: s}
	l, ok := layouts[strings.ToLower(format)]
	if !ok {
		return db.convert(ctx, w, p, format)
	}
	return p.print(ctx, w, l)
}

// convert has the rows printed in the binary format and turned into the wanted
// one by somebody who knows it.
func (db *DB) convert(ctx context.Context, w io.Writer, p *printer, format string) error {
	if !isWord(format) || strings.ContainsFunc(format, func(r rune) bool { return !(r < 0x80 && isWordByte(byte(r))) }) {
		return fmt.Errorf("format %q: no such format", format)
	}
	if db.Convert == nil {
		return fmt.Errorf("format %s: needs the engine's library, which is not here; without it there are TSV, CSV, JSONEachRow, JSONCompactEachRow, with WithNames and WithNamesAndTypes, Values", format)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, feed := io.Pipe()
	columns := make(chan []column, 1)
	printed := make(chan error, 1)
	go func() {
		err := p.print(ctx, feed, layout{row: "RowBinary", columns: columns})
		feed.CloseWithError(err) // nil is the end
		printed <- err
	}()
	select {
	case err := <-printed: // before there was a row
		if len(columns) == 0 {
			return err
		}
		printed <- err
	case c := <-columns:
		columns <- c
	}
	err := db.Convert(ctx, rows, structure(<-columns), w, format)
	rows.CloseWithError(io.ErrClosedPipe) // the printer must not wait for a reader that is gone
	cancel()
	// Why there were no more rows says more than how the converter took it.
	if cause := <-printed; cause != nil && !errors.Is(cause, io.ErrClosedPipe) && !(err != nil && errors.Is(cause, context.Canceled)) {
		return cause
	}
	if err != nil {
		return fmt.Errorf("format %s: %w", format, err)
	}
	return nil
}

// A printer writes the answer of one statement.
type printer struct {
	db        *DB
	statement statement
}

func (p *printer) print(ctx context.Context, w io.Writer, l layout) error {
	if !p.statement.rows() {
		return p.direct(ctx, w, l)
	}
	// The query ends in a line of its own: it may end in a comment.
	from := "(" + p.statement.text + "\n)"
	columns, err := p.describe(ctx, from)
	if err != nil {
		// Positions and names in the message would be those of our own text. The
		// query alone fails the same way and says it rightly.
		if own := p.db.probe(ctx, p.statement.text); own != nil {
			return Plain(own)
		}
		if codeOf(err) != 0 {
			return p.direct(ctx, w, l)
		}
		return Plain(err)
	}
	if err := p.header(ctx, w, l, columns); err != nil {
		return err
	}
	return p.body(ctx, w, l, "SELECT formatRow("+literal(l.row)+", *) FROM "+from)
}

// describe asks for the columns of an answer.
func (p *printer) describe(ctx context.Context, from string) ([]column, error) {
	rows, err := p.db.conn.Query(ctx, "DESCRIBE TABLE "+from)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []column
	for rows.Next() {
		var c column
		rest := make([]any, len(rows.Columns())-2)
		for i := range rest {
			rest[i] = new(string)
		}
		if err := rows.Scan(append([]any{&c.name, &c.kind}, rest...)...); err != nil {
			return nil, err
		}
		c.kind = oneLine(c.kind)
		columns = append(columns, c)
	}
	return columns, rows.Err()
}

// probe runs a query for its error alone.
func (db *DB) probe(ctx context.Context, query string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := db.conn.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	defer cancel()
	rows.Next()
	return rows.Err()
}

func (p *printer) header(ctx context.Context, w io.Writer, l layout, columns []column) error {
	if l.columns != nil {
		l.columns <- columns
		return nil
	}
	if l.row == "CSV" {
		columns = flatten(columns)
	}
	var names, kinds []string
	for _, c := range columns {
		names, kinds = append(names, literal(c.name)), append(kinds, literal(c.kind))
	}
	var lines []string
	if l.names {
		lines = append(lines, strings.Join(names, ", "))
	}
	if l.types {
		lines = append(lines, strings.Join(kinds, ", "))
	}
	for _, line := range lines {
		if err := p.body(ctx, w, layout{row: l.row}, "SELECT formatRow("+literal(l.row)+", "+line+")"); err != nil {
			return err
		}
	}
	return nil
}

// body writes the rows of a query whose one column is a printed row.
func (p *printer) body(ctx context.Context, w io.Writer, l layout, query string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := p.db.conn.Query(ctx, query)
	if err != nil {
		return Plain(err)
	}
	defer rows.Close() // which reads to the end unless it is cancelled
	defer cancel()
	var row string
	for first := true; rows.Next(); first = false {
		if err := rows.Scan(&row); err != nil {
			return err
		}
		if l.comma && !first {
			row = "," + row
		}
		if _, err := io.WriteString(w, row); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	return Plain(rows.Err())
}
