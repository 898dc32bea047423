package store

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// direct runs a statement as it is and gives its rows back to the server to be
// printed, as literals. Its answers are small: names, definitions, plans.
func (p *printer) direct(ctx context.Context, w io.Writer, l layout) error {
	rows, err := p.db.conn.Query(ctx, p.statement.text)
	if err != nil {
		return Plain(err)
	}
	defer rows.Close()
	var columns []column
	for _, c := range rows.ColumnTypes() {
		kind := c.DatabaseTypeName()
		if !simple.MatchString(kind) {
			kind = "String" // as Go prints it
		}
		columns = append(columns, column{c.Name(), kind})
	}
	if err := p.header(ctx, w, l, columns); err != nil {
		return err
	}
	var tuples strings.Builder
	first := true
	flush := func() error {
		if tuples.Len() == 0 {
			return nil
		}
		if l.comma && !first {
			if _, err := io.WriteString(w, ","); err != nil {
				return fmt.Errorf("write answer: %w", err)
			}
		}
		first = false
		query := fmt.Sprintf("SELECT formatRow(%s, *) FROM values(%s, %s)", literal(l.row), literal(structure(columns)), tuples.String())
		tuples.Reset()
		return p.body(ctx, w, l, query)
	}
	for rows.Next() {
		tuple, err := scanRow(rows)
		if err != nil {
			return err
		}
		if tuples.Len() > 0 {
			tuples.WriteByte(',')
		}
		tuples.WriteString(tuple)
		if tuples.Len() > valuesLimit {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return Plain(err)
	}
	return flush()
}

// valuesLimit keeps a query far below max_query_size, 256 KiB by default.
const valuesLimit = 64 << 10

// simple are the types whose values can be written as a literal below.
var simple = regexp.MustCompile(`^(Nullable\()?(String|Bool|U?Int(8|16|32|64)|Float(32|64))\)?$`)

// structure describes columns for values().
func structure(columns []column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = identifier(c.name) + " " + c.kind
	}
	return strings.Join(parts, ", ")
}

// scanRow is a row as a tuple of literals.
func scanRow(rows driver.Rows) (string, error) {
	types := rows.ColumnTypes()
	dest := make([]any, len(types))
	for i, c := range types {
		dest[i] = reflect.New(c.ScanType()).Interface()
	}
	if err := rows.Scan(dest...); err != nil {
		return "", err
	}
	values := make([]string, len(dest))
	for i, d := range dest {
		v := reflect.ValueOf(d).Elem()
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		switch {
		case v.Kind() == reflect.Pointer:
			values[i] = "NULL"
		case v.Kind() == reflect.String:
			values[i] = literal(v.String())
		case v.CanInt():
			values[i] = strconv.FormatInt(v.Int(), 10)
		case v.CanUint():
			values[i] = strconv.FormatUint(v.Uint(), 10)
		case v.CanFloat():
			values[i] = strconv.FormatFloat(v.Float(), 'g', -1, 64)
		case v.Kind() == reflect.Bool:
			values[i] = strconv.FormatBool(v.Bool())
		default:
			values[i] = literal(fmt.Sprint(v.Interface()))
		}
	}
	return "(" + strings.Join(values, ",") + ")", nil
}
