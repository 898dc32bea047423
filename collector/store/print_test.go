package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/store"
)

func kill(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }

// reading is the shared engine as the reader sees it, with a converter.
func reading(t testing.TB) *store.DB {
	t.Helper()
	db := open(t, enginetest.Start(t).ReaderDSN())
	library := enginetest.Library(t)
	db.Convert = func(ctx context.Context, rows io.Reader, structure string, out io.Writer, format string) error {
		return engine.Convert(ctx, library, rows, structure, out, format)
	}
	return db
}

func TestWriteQuery(t *testing.T) {
	writer := open(t, enginetest.Start(t).DSN())
	execAll(t, writer, "CREATE TABLE passalong.pages (day Date, page String, views UInt32) ENGINE = MergeTree ORDER BY day",
		"INSERT INTO passalong.pages VALUES ('2026-10-01', 'https://news.example/a', 3), ('2026-10-02', 'https://news.example/b', 1)",
		"CREATE VIEW passalong.asked AS SELECT page FROM passalong.pages WHERE day = {day:Date}")
	t.Cleanup(func() { enginetest.Reset(t) })
	db := reading(t)
	for _, c := range []struct{ name, query, format, want string }{
		{"a table", "SELECT * FROM pages ORDER BY day", "", "day\tpage\tviews\n2026-10-01\thttps://news.example/a\t3\n2026-10-02\thttps://news.example/b\t1\n"},
		{"no rows", "SELECT page FROM pages WHERE 0", "", "page\n"},
		{"semicolon and comment", "SELECT 1 AS n; -- done", "", "n\n1\n"},
		{"comment at the end", "SELECT 1 AS n -- done", "", "n\n1\n"},
		{"comment first", "/* who /* asks */ */ # me\nSELECT 1 AS n", "TSV", "1\n"},
		{"WITH", "WITH t AS (SELECT 7 AS n) SELECT n FROM t", "TSV", "7\n"},
		{"recursive WITH", "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT n FROM t", "TSV", "1\n2\n3\n"},
		{"FROM first", "FROM numbers(2) SELECT number", "TSV", "0\n1\n"},
		{"UNION ALL with parentheses", "(SELECT 1) UNION ALL (SELECT 1)", "TSV", "1\n1\n"},
		{"a parameterised view", "SELECT * FROM asked(day = '2026-10-02')", "TSV", "https://news.example/b\n"},
		{"its own FORMAT wins", "SELECT 1 AS n FORMAT CSV;", "JSONEachRow", "1\n"},
		{"FORMAT in a string", "SELECT 'x FORMAT CSV' AS n", "TSV", "x FORMAT CSV\n"},
		{"a column called format", "SELECT 1 AS format", "TSVWithNames", "format\n1\n"},
		{"a semicolon in a string", "SELECT 'a;b' AS n", "TSV", "a;b\n"},
		{"a quote in a string", `SELECT 'it''s \' here; --' AS n`, "TSV", `it\'s \' here; --` + "\n"},
		{"a heredoc", "SELECT $x$a;'b$x$ AS n", "TSV", `a;\'b` + "\n"},
		{"names with all sorts", "SELECT 1 AS `a b`, 2 AS `c\\td`, 3 AS `e'f`, 4 AS `g``h`", "", "a b\tc\\td\te\\'f\tg`h\n1\t2\t3\t4\n"},
		{"the same column twice", "SELECT number, number FROM numbers(1)", "", "number\tnumber\n0\t0\n"},
		{"a constant twice", "SELECT 1, 1", "", "1\t1\n1\t1\n"},
		{"no alias", "SELECT count() FROM pages", "", "count()\n2\n"},
		{"a question mark and an at sign", "SELECT '?' AS q, '@name' AS n, 1 > 0 ? 'yes' : 'no' AS t", "TSV", "?\t@name\tyes\n"},
		{"braces are no parameters", "SELECT '{n}' AS n", "TSV", "{n}\n"},

		{"TSVWithNamesAndTypes", "SELECT 1 AS n, 'a' AS s", "TSVWithNamesAndTypes", "n\ts\nUInt8\tString\n1\ta\n"},
		{"TSVRaw", `SELECT 'a\tb' AS s`, "TSVRaw", "a\tb\n"},
		{"TabSeparatedWithNames, any case", "SELECT 1 AS n", "tabseparatedWITHNAMES", "n\n1\n"},
		{"CSVWithNames", "SELECT 1 AS n, 'a,\"b' AS s", "CSVWithNames", "\"n\",\"s\"\n1,\"a,\"\"b\"\n"},
		{"JSONEachRow", "SELECT number AS n FROM numbers(2)", "JSONEachRow", "{\"n\":0}\n{\"n\":1}\n"},
		{"JSONCompactEachRowWithNames", "SELECT 1 AS n, 'a' AS s", "JSONCompactEachRowWithNames", "[\"n\", \"s\"]\n[1, \"a\"]\n"},
		{"Values", "SELECT number, 'a' FROM numbers(3)", "Values", "(0,'a'),(1,'a'),(2,'a')"},

		{"Vertical", "SELECT number AS n, 'a' AS s FROM numbers(2)", "Vertical", "Row 1:\n──────\nn: 0\ns: a\n\nRow 2:\n──────\nn: 1\ns: a\n"},
		{"Markdown", "SELECT 1 AS n, 'a' AS s", "Markdown", "| n | s |\n|-:|:-|\n| 1 | a |\n"},
		{"JSONColumns", "SELECT number AS n FROM numbers(2)", "JSONColumns", "{\n\t\"n\": [0, 1]\n}\n"},
		{"Null", "SELECT 1", "Null", ""},

		{"SHOW TABLES", "SHOW TABLES FROM passalong", "", "name\nasked\npages\n"},
		{"DESCRIBE", "DESCRIBE pages", "CSV", `"day","Date","","","","",""` + "\n" + `"page","String","","","","",""` + "\n" + `"views","UInt32","","","","",""` + "\n"},
		{"EXISTS", "EXISTS TABLE pages", "", "result\n1\n"},
		{"EXPLAIN", "EXPLAIN AST SELECT 1", "JSONEachRow", ""},
		{"SHOW in a format that needs a converter", "EXISTS pages", "Markdown", "| result |\n|-:|\n| 1 |\n"},
		{"SHOW as Values", "SHOW TABLES FROM passalong", "Values", "('asked'),('pages')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := db.WriteQuery(t.Context(), &out, c.query, c.format); err != nil {
				t.Fatal(err)
			}
			if c.name == "EXPLAIN" {
				if !strings.HasPrefix(out.String(), `{"explain":"SelectWithUnionQuery`) {
					t.Errorf("got %q", out.String())
				}
				return
			}
			if out.String() != c.want {
				t.Errorf("got  %q\nwant %q", out.String(), c.want)
			}
		})
	}
}

// types are values that a format could get wrong, one expression a column.
const types = `SELECT
	'tab\tnewline\nback\\slash quote\' nul\0 end' AS s,
	'' AS empty, 'é – 日本' AS unicode, unhex('ff00fe') AS bytes,
	toFixedString('ab', 4) AS fixed, toLowCardinality('low') AS low,
	CAST(NULL, 'Nullable(String)') AS missing, CAST('\\N', 'Nullable(String)') AS there,
	toUInt64(18446744073709551615) AS u64, toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564819968') AS i256,
	toFloat64(0.1) AS f, toFloat32(1/3) AS f32, inf AS infinite, nan AS no_number,
	toDecimal64('12345.6700', 4) AS d64, toDecimal128('-0.0000000001', 10) AS d128,
	toDate('2026-10-01') AS day, toDateTime('2026-10-01 12:00:00', 'UTC') AS t,
	toDateTime64('2026-10-01 12:00:00.123', 3, 'UTC') AS t3, toDateTime64('2026-10-01 12:00:00.123456', 6, 'Europe/Paris') AS t6,
	CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)') AS e, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS id,
	true AS yes, toIPv4('192.0.2.1') AS v4, toIPv6('2001:db8::1') AS v6,
	[1, 2, 3] AS numbers, ['a\tb', 'c\'d'] AS texts, [[1], []] AS nested, CAST([], 'Array(Nullable(UInt8))') AS none,
	map('telegram', 0.25, 'what\'s', 0.75) AS posterior, CAST((1, 'x'), 'Tuple(n UInt8, s String)') AS pair,
	[NULL, 1] AS holes, INTERVAL 3 DAY AS span`

// TestTypesAsTheServerPrintsThem compares with ClickHouse's own client code,
// given the same query.
func TestTypesAsTheServerPrintsThem(t *testing.T) {
	db := reading(t)
	library := enginetest.Library(t)
	for _, format := range []string{"TSVWithNamesAndTypes", "CSVWithNames", "JSONEachRow", "JSONCompactEachRow", "Values", "Pretty", "Vertical", "XML"} {
		t.Run(format, func(t *testing.T) {
			var got, want bytes.Buffer
			if err := db.WriteQuery(t.Context(), &got, types, format); err != nil {
				t.Fatal(err)
			}
			if err := engine.Local(t.Context(), library, strings.NewReader(""), &want, types, format); err != nil {
				t.Fatal(err)
			}
			if strip(got.String()) != strip(want.String()) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
			}
		})
	}
}

// strip cuts what differs from run to run.
func strip(s string) string {
	if at := strings.Index(s, "<statistics>"); at > 0 {
		return s[:at]
	}
	return s
}

// TestOrderIsTheQuerys: over many blocks, sorted against the way they lie.
func TestOrderIsTheQuerys(t *testing.T) {
	db := reading(t)
	for _, c := range []struct{ name, query string }{
		{"ORDER BY", "SELECT number FROM numbers_mt(300000) ORDER BY cityHash64(number)"},
		{"ORDER BY with LIMIT", "SELECT number FROM numbers_mt(300000) ORDER BY cityHash64(number) LIMIT 200000 OFFSET 7"},
		{"sorted twice", "SELECT number FROM (SELECT number FROM numbers_mt(200000) ORDER BY number DESC) ORDER BY cityHash64(number) DESC"},
		{"a window", "SELECT number, row_number() OVER (ORDER BY cityHash64(number)) AS n FROM numbers(50000) ORDER BY n"},
		{"UNION ALL, then sorted", "SELECT * FROM (SELECT number FROM numbers(50000) UNION ALL SELECT number + 50000 FROM numbers(50000)) ORDER BY sipHash64(number)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := db.WriteQuery(t.Context(), &got, c.query, "TSV"); err != nil {
				t.Fatal(err)
			}
			rows, err := db.Conn().Query(t.Context(), c.query)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			lines := strings.Split(strings.TrimSuffix(got.String(), "\n"), "\n")
			n := 0
			for ; rows.Next(); n++ {
				var number, other uint64
				dest := []any{&number, &other}[:len(rows.Columns())]
				if err := rows.Scan(dest...); err != nil {
					t.Fatal(err)
				}
				if first, _, _ := strings.Cut(lines[n], "\t"); first != strconv.FormatUint(number, 10) {
					t.Fatalf("row %d is %s, the query says %d", n, lines[n], number)
				}
			}
			if err := rows.Err(); err != nil || n != len(lines) {
				t.Fatalf("%d lines for %d rows, %v", len(lines), n, err)
			}
		})
	}
}

func TestWriteQueryRefuses(t *testing.T) {
	writer := open(t, enginetest.Start(t).DSN())
	execAll(t, writer, "CREATE TABLE passalong.kept (n UInt8) ENGINE = MergeTree ORDER BY n", "INSERT INTO passalong.kept VALUES (1)")
	t.Cleanup(func() { enginetest.Reset(t) })
	reader := reading(t)
	noConverter := open(t, enginetest.Start(t).ReaderDSN())
	for _, c := range []struct {
		name, query, format string
		db                  *store.DB
		want                string
	}{
		{"INSERT", "INSERT INTO kept VALUES (2)", "", writer, "INSERT is no statement that reads"},
		{"DROP", "drop table kept", "", writer, "DROP is no statement that reads"},
		{"USE", "USE system", "", reader, "USE is no statement that reads"},
		{"SET", "SET readonly = 0", "", reader, "SET is no statement that reads"},
		{"a write that begins as a query", "WITH 2 AS x INSERT INTO kept SELECT x", "", writer, "readonly mode (code 164)"},
		{"two statements", "SELECT 1; DROP TABLE kept", "", writer, "one statement at a time"},
		{"INTO OUTFILE", "SELECT 1 INTO OUTFILE '/dev/null'", "", reader, "redirect"},
		{"the function file", "SELECT file('users.xml')", "", reader, "file() is not for here"},
		{"the function file in quotes", "SELECT `file` /* x */ ('users.xml')", "", reader, "file() is not for here"},
		{"the function file by APPLY", "SELECT * APPLY(file) FROM (SELECT 'users.xml')", "", reader, "file() is not for here"},
		{"the function file by APPLY without parentheses", "SELECT * APPLY file FROM (SELECT 'users.xml')", "", reader, "file() is not for here"},
		{"the table function file", "SELECT * FROM file('users.xml', LineAsString)", "", reader, "file() is not for here"},
		{"nothing", " ; -- nothing", "", reader, "query is empty"},
		{"an open string", "SELECT 'abc", "", reader, "inside of a ' that was opened at character 8"},
		{"an open comment", "SELECT 1 /* x", "", reader, "inside of a comment that was opened at character 10"},
		{"a parenthesis that breaks out", "SELECT 1) UNION ALL (SELECT 2", "", reader, "the `)` at character 9 closes nothing"},
		{"a syntax error", "SELECT 1 FORM kept WHRE", "", reader, "failed at position 15 (kept)"},
		{"an unknown column", "SELECT nope FROM kept", "", reader, "Unknown expression identifier `nope`"},
		{"an unknown table", "SELECT * FROM nope", "", reader, "nope"},
		{"an error in mid-answer", "SELECT throwIf(number = 100000, 'stop here') FROM numbers(200000)", "TSV", reader, "stop here"},
		{"the same through the converter", "SELECT throwIf(number = 100000, 'stop here') FROM numbers(200000)", "JSON", reader, "stop here"},
		{"an unknown format", "SELECT 1", "Nonsense", reader, "Nonsense"},
		{"a format that is none", "SELECT 1", "TSV; SELECT 2", reader, "no such format"},
		{"no converter", "SELECT 1", "Pretty", noConverter, "needs the engine's library"},
		{"a private table", "SELECT * FROM passalong_private.salts", "", reader, "passalong_private"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.db.WriteQuery(t.Context(), io.Discard, c.query, c.format)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
			for _, ours := range []string{"formatRow", "DESCRIBE TABLE", "RowBinary", "Stack trace", "DB::", "version 26"} {
				if strings.Contains(err.Error(), ours) {
					t.Errorf("error shows %q: %v", ours, err)
				}
			}
		})
	}
	var n uint64
	if err := writer.Conn().QueryRow(t.Context(), "SELECT count() FROM passalong.kept").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v; want the one", n, err)
	}
}

// TestConstantMemory: a long answer both ways, in a process whose size and
// whose children's size is looked at.
func TestConstantMemory(t *testing.T) {
	if os.Getenv("STORE_TEST_STREAM") == "" {
		// Resident now: 105 and 211 MiB, however long the answer.
		for format, limit := range map[string]int64{"TSV": 250, "XML": 350} {
			cmd := exec.Command(os.Args[0], "-test.run=^TestConstantMemory$", "-test.v")
			cmd.Env = append(os.Environ(), "STORE_TEST_STREAM="+format, "STORE_TEST_DSN="+enginetest.Start(t).ReaderDSN(), "GOMEMLIMIT=off")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
			t.Logf("%s: at most %d MiB resident", format, peak)
			if peak > limit && !raceDetector {
				t.Errorf("%s: %d MiB for an answer of 200 MB", format, peak)
			}
		}
		return
	}
	db := open(t, os.Getenv("STORE_TEST_DSN"))
	library := enginetest.Library(t)
	db.Convert = func(ctx context.Context, rows io.Reader, structure string, out io.Writer, format string) error {
		return engine.Convert(ctx, library, rows, structure, out, format)
	}
	rows := 2_000_000
	if raceDetector {
		rows = 50_000
	}
	var n counter
	query := fmt.Sprintf("SELECT number, repeat('x', 90) AS s FROM numbers(%d)", rows)
	if err := db.WriteQuery(t.Context(), &n, query, os.Getenv("STORE_TEST_STREAM")); err != nil {
		t.Fatal(err)
	}
	if int(n) < rows*95 {
		t.Errorf("%d bytes", n)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }

func TestReaderThatGoesAway(t *testing.T) {
	db := reading(t)
	for _, format := range []string{"TSV", "XML"} {
		r, w := io.Pipe()
		go func() {
			io.CopyN(io.Discard, r, 1000)
			r.CloseWithError(errAway)
		}()
		err := db.WriteQuery(t.Context(), w, "SELECT number, repeat('x', 90) FROM numbers(100000000)", format)
		if !errors.Is(err, errAway) {
			t.Errorf("%s: %v, want what the writer said", format, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() { io.CopyN(io.Discard, r, 10); cancel(); io.Copy(io.Discard, r) }()
	if err := db.WriteQuery(ctx, w, "SELECT number, repeat('x', 90) FROM numbers(100000000)", "TSV"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	w.Close()
}

var errAway = errors.New("reader is gone")
