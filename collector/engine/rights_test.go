package engine_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// dial connects and chooses no database: queries here name theirs.
func dial(t *testing.T, dsn string) driver.Conn {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	o.Auth.Database = ""
	c, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// codeOf is ClickHouse's number of an error, 0 for none.
func codeOf(err error) int32 {
	if x, ok := errors.AsType[*clickhouse.Exception](err); ok {
		return x.Code
	}
	if err != nil {
		return -1
	}
	return 0
}

const (
	ok       = 0
	refused  = 497 // not enough privileges
	readonly = 164 // a setting may not be changed
	limited  = 452 // a setting is out of its limits
	unread   = 62  // syntax: the query is longer than the user's may be
)

// TestRights tries what each user may and may not do. It is the list to extend
// when a release of ClickHouse brings a new way to read or write.
func TestRights(t *testing.T) {
	e := enginetest.New(t, engine.Options{HTTP: "127.0.0.1:0"})
	collector := dial(t, e.DSN())
	users := map[string]driver.Conn{
		"collector": collector,
		"reader":    dial(t, e.ReaderDSN()),
		"default":   dial(t, "clickhouse://default:@"+hostOf(t, e.DSN())),
	}
	for _, c := range []struct {
		user, query string
		want        int32
	}{
		// What the schema and the loader need.
		{"collector", "CREATE DATABASE IF NOT EXISTS passalong", ok},
		{"collector", "CREATE DATABASE IF NOT EXISTS passalong_private", ok},
		{"collector", "CREATE TABLE passalong.events (n UInt64) ENGINE = MergeTree ORDER BY n PARTITION BY n % 2", ok},
		{"collector", "CREATE TABLE passalong.staging AS passalong.events", ok},
		{"collector", "CREATE TABLE passalong_private.salts (n UInt64) ENGINE = ReplacingMergeTree ORDER BY n", ok},
		{"collector", "CREATE TABLE passalong.lock (n UInt8) ENGINE = Memory COMMENT 'host 1'", ok},
		{"collector", "INSERT INTO passalong.events SELECT number FROM numbers(10)", ok},
		{"collector", "INSERT INTO passalong_private.salts VALUES (1), (2)", ok},
		{"collector", "ALTER TABLE passalong.events ADD COLUMN m UInt8, ADD INDEX i m TYPE minmax", ok},
		{"collector", "ALTER TABLE passalong.events DELETE WHERE n = 3 SETTINGS mutations_sync = 2", ok},
		{"collector", "ALTER TABLE passalong.staging ADD COLUMN m UInt8, ADD INDEX i m TYPE minmax", ok},
		{"collector", "ALTER TABLE passalong.events REPLACE PARTITION 1 FROM passalong.staging SETTINGS allow_replace_partition_from_empty_source = 1", ok},
		{"collector", "OPTIMIZE TABLE passalong.events FINAL", ok},
		{"collector", "CREATE VIEW passalong.open AS SELECT n FROM passalong.events SETTINGS join_use_nulls = 1", ok},
		{"collector", "CREATE VIEW passalong.hidden DEFINER = collector SQL SECURITY DEFINER AS SELECT count() AS n FROM passalong_private.salts", ok},
		{"collector", "CREATE VIEW passalong.asked SQL SECURITY DEFINER AS SELECT n FROM passalong.events WHERE n = {n:UInt64}", ok},
		{"collector", "CREATE MATERIALIZED VIEW passalong.refreshed REFRESH EVERY 1 YEAR ENGINE = MergeTree ORDER BY n AS SELECT n FROM passalong.events", ok},
		{"collector", "CREATE FUNCTION twice AS (x) -> x * 2", ok},
		{"collector", "CREATE OR REPLACE FUNCTION twice AS (x) -> x + x", ok},
		{"collector", "CREATE TEMPORARY TABLE scratch (n UInt8)", ok},
		{"collector", "SELECT count() FROM system.processes", ok},
		{"collector", "SELECT count() FROM system.parts", ok},
		{"collector", "KILL QUERY WHERE query_id = 'none'", ok},
		{"collector", "SYSTEM STOP MERGES passalong.events", ok},
		{"collector", "SYSTEM START MERGES passalong.events", ok},
		{"collector", "TRUNCATE TABLE passalong.staging", ok},
		{"collector", "DROP TABLE passalong.staging", ok},
		// What it does not need.
		{"collector", "CREATE DATABASE other", refused},
		{"collector", "SELECT * FROM file('/etc/hostname', LineAsString)", refused},
		{"collector", "INSERT INTO FUNCTION file('out.tsv', TSV, 'n UInt8') VALUES (1)", refused},
		{"collector", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)", refused},
		{"collector", "SYSTEM SHUTDOWN", refused},
		{"collector", "SYSTEM START LISTEN HTTP", refused},

		{"reader", "SELECT sum(n) FROM passalong.events", ok},
		{"reader", "SELECT 1 IN (" + strings.Repeat("12345678, ", 20_000) + "1)", ok},
		{"collector", "SELECT 1 IN (" + strings.Repeat("12345678, ", 50_000) + "1)", ok},
		{"reader", "SELECT * FROM passalong.open", ok},
		{"reader", "SELECT * FROM passalong.hidden", ok},
		{"reader", "SELECT * FROM passalong.asked(n = 2)", ok},
		{"reader", "SELECT * FROM passalong.refreshed", ok},
		{"reader", "SELECT twice(n) FROM passalong.events", ok},
		{"reader", "WITH recursive t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t", ok},
		{"reader", "SHOW TABLES FROM passalong", ok},
		{"reader", "DESCRIBE passalong.events", ok},
		{"reader", "EXPLAIN SELECT * FROM passalong.hidden", ok},
		{"reader", "SELECT 1 SETTINGS max_execution_time = 30", ok},
		{"reader", "SELECT 1 SETTINGS max_execution_time = 0", limited},
		{"reader", "SELECT 1 SETTINGS max_execution_time = 86400", limited},
		{"reader", "SELECT 1 SETTINGS max_memory_usage = 1000000000000", readonly},
		// Nobody checks the settings of a subquery, but the limits that count are
		// those of the whole query.
		{"reader", "SELECT length(g) FROM (SELECT groupArray(number) AS g FROM numbers(200000000) SETTINGS max_memory_usage = 0, max_memory_usage_for_user = 0)", 241},
		{"reader", "SELECT count() FROM (SELECT number FROM numbers(1000000000000) WHERE NOT ignore(cityHash64(number)) SETTINGS max_execution_time = 0) SETTINGS max_execution_time = 1", 159},
		{"reader", "SET readonly = 0", readonly},
		{"reader", "SELECT * FROM passalong_private.salts", refused},
		{"reader", "SELECT * FROM merge('passalong_private', 'salts')", 636}, // none that it may see
		{"reader", "SELECT * FROM loop('passalong_private', 'salts') LIMIT 1", refused},
		{"reader", "SELECT * FROM mergeTreeIndex('passalong_private', 'salts')", refused},
		{"reader", "SELECT hasColumnInTable('passalong_private', 'salts', 'n')", refused},
		{"reader", "SHOW CREATE TABLE passalong_private.salts", refused},
		{"reader", "INSERT INTO passalong.events (n) VALUES (1)", refused},
		{"reader", "ALTER TABLE passalong.events DELETE WHERE 1", refused},
		{"reader", "TRUNCATE TABLE passalong.events", refused},
		{"reader", "DROP TABLE passalong.events", refused},
		{"reader", "DROP VIEW passalong.hidden", refused},
		{"reader", "CREATE TABLE passalong.x (n UInt8) ENGINE = Memory", refused},
		{"reader", "CREATE TEMPORARY TABLE x (n UInt8)", refused},
		{"reader", "CREATE VIEW passalong.x SQL SECURITY DEFINER DEFINER = collector AS SELECT 1", refused},
		{"reader", "CREATE FUNCTION x AS (n) -> n", refused},
		{"reader", "CREATE USER x", refused},
		{"reader", "GRANT SELECT ON *.* TO reader", refused},
		{"reader", "SELECT * FROM file('/etc/hostname', LineAsString)", refused},
		{"reader", "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)", refused},
		{"reader", "SELECT * FROM remote('127.0.0.1', passalong.events)", refused},
		{"reader", "SELECT * FROM s3('http://127.0.0.1:1/bucket/x', 'TSV')", refused},
		{"reader", "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", refused},
		{"reader", "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')", refused},
		{"reader", "SELECT * FROM sqlite('x', 'y')", refused},
		{"reader", "SELECT * FROM executable('x.sh', 'TSV', 'n UInt8')", refused},
		{"reader", "SELECT * FROM system.users", refused},
		{"reader", "SELECT * FROM system.grants", refused},
		{"reader", "SELECT * FROM system.processes", refused},
		{"reader", "SELECT * FROM system.server_settings", refused},
		{"reader", "SELECT demangle('x')", refused},
		{"reader", "KILL QUERY WHERE 1 = 1", refused},
		{"reader", "SYSTEM SHUTDOWN", refused},
		{"reader", "SYSTEM DROP MARK CACHE", refused},
		{"reader", "BACKUP TABLE passalong.events TO Disk('default', 'x')", refused},

		{"reader", "SELECT file('/etc/passwd')", 76}, // the sandbox: no such right exists in ClickHouse
		{"reader", "SELECT file('/proc/1/cmdline')", 76},

		// Who logs in as default gets no answer at all.
		{"default", "SELECT 1", unread},
		{"default", "SELECT 1 SETTINGS max_query_size = 1000", unread},
		{"default", "SET max_query_size = 1000", unread},
		{"default", "SELECT file('users.xml')", unread},
		{"default", "SELECT * FROM passalong.events", unread},
		{"default", "INSERT INTO passalong.events (n) VALUES (1)", unread},
		{"default", "KILL QUERY WHERE 1 = 1", unread},
		{"default", "SYSTEM START LISTEN HTTP", unread},
	} {
		err := users[c.user].Exec(t.Context(), c.query)
		if got := codeOf(err); got != c.want {
			t.Errorf("%s: %s\n\t%v, want code %d", c.user, c.query, err, c.want)
		}
	}
}

// TestDefaultCannotRaiseItsLimit by settings that come beside a query.
func TestDefaultCannotRaiseItsLimit(t *testing.T) {
	e := enginetest.New(t, engine.Options{HTTP: "127.0.0.1:0"})
	c := dial(t, "clickhouse://default:@"+hostOf(t, e.DSN()))
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_query_size": 1000}))
	if err := c.Exec(ctx, "SELECT 1"); codeOf(err) != limited {
		t.Errorf("native: %v, want code %d", err, limited)
	}
	for _, query := range []string{"query=SELECT+1", "query=SELECT+1&max_query_size=1000", "query=SELECT+1&profile=collector"} {
		r, err := http.Post("http://"+e.HTTP()+"/?"+query, "text/plain", nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode == 200 {
			t.Errorf("HTTP %s: %s", query, b)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestReaderSees lists the tables that the reader can select from: a new one
// must be meant.
func TestReaderSees(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	exec1(t, dial(t, e.DSN()),
		"CREATE DATABASE passalong_private",
		"CREATE TABLE passalong.events (n UInt64) ENGINE = MergeTree ORDER BY n",
		"CREATE TABLE passalong_private.salts (n UInt64) ENGINE = MergeTree ORDER BY n")
	c := dial(t, e.ReaderDSN())
	tables := eval[[]string](t, dial(t, e.DSN()),
		"SELECT arraySort(groupArray(database || '.' || name)) FROM system.tables WHERE lower(database) != 'information_schema'")
	if !slices.Contains(tables, "passalong_private.salts") || len(tables) < 50 {
		t.Fatalf("the collector sees %d tables only", len(tables))
	}
	var seen []string
	for _, table := range tables {
		if err := c.Exec(t.Context(), "SELECT * FROM "+table+" LIMIT 0"); err == nil {
			seen = append(seen, table)
		}
	}
	// Of ClickHouse's own: constants, and catalogues that show a user what that
	// user may see.
	want := strings.Fields(readerSees)
	if !slices.Equal(seen, want) {
		t.Errorf("the reader can select from\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
	if got := eval[string](t, c, "SELECT arrayStringConcat(groupArray(name), ' ') FROM (SELECT name FROM system.databases WHERE lower(name) != 'information_schema' ORDER BY name)"); got != "passalong" {
		t.Errorf("the reader sees databases %s", got)
	}
}

// TestDeadlineOfReader: clickhouse-go turns a context's deadline into a
// setting, which a user who may not change settings must be able to send.
func TestDeadlineOfReader(t *testing.T) {
	e := enginetest.Start(t)
	c := dial(t, e.ReaderDSN())
	ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"site": "news.example"}))
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var site string
	var limit uint64
	if err := c.QueryRow(ctx, "SELECT {site:String}, toUInt64(getSetting('max_execution_time'))").Scan(&site, &limit); err != nil {
		t.Fatal(err)
	}
	if site != "news.example" || limit < 20 || limit > 30 {
		t.Errorf("site %q, limit %d s", site, limit)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if err := c.Exec(ctx, "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(cityHash64(number))"); err == nil || time.Since(began) > 15*time.Second {
		t.Errorf("a query without end: %v after %v", err, time.Since(began))
	}
}

// TestHTTP: off by default, and with the same users when on.
func TestHTTP(t *testing.T) {
	if got := enginetest.Start(t).HTTP(); got != "" {
		t.Errorf("HTTP listens on %s by default", got)
	}
	e := enginetest.New(t, engine.Options{HTTP: "127.0.0.1:0", ReaderPassword: "grafana's own"})
	u, err := url.Parse(e.ReaderDSN())
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := u.User.Password(); p != "grafana's own" {
		t.Errorf("the reader's password is %q", p)
	}
	for _, c := range []struct {
		user *url.Userinfo
		sql  string
		want int
		body string
	}{
		{u.User, "SELECT currentUser()", 200, "reader"},
		{u.User, "SELECT * FROM system.users", 500, "497"},
		{nil, "SELECT 1", 400, "62"},
		{url.UserPassword("reader", "guess"), "SELECT 1", 403, "516"},
	} {
		a := url.URL{Scheme: "http", Host: e.HTTP(), Path: "/", User: c.user, RawQuery: url.Values{"query": {c.sql}, "max_execution_time": {"10"}}.Encode()}
		if c.user == nil {
			a.RawQuery = url.Values{"query": {c.sql}}.Encode()
		}
		r, err := http.Get(a.String())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != c.want || !strings.Contains(string(b), c.body) {
			t.Errorf("%v %s: %d %s, want %d %s", c.user, c.sql, r.StatusCode, b, c.want, c.body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func hostOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

const readerSees = `
passalong.events
system.aggregate_function_combinators system.collations system.columns system.completions system.contributors
system.current_roles system.data_type_families system.database_engines system.databases system.dictionary_layouts
system.disk_types system.enabled_roles system.formats system.functions system.licenses system.one system.privileges
system.quota_usage system.settings system.table_engines system.table_functions system.tables system.time_zones
`
