package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testDB is the collector's connection to the shared engine.
type testDB struct{ *sql.DB }

var applied sync.Once

// connect applies the schema once for all tests that only read and write rows.
func connect(t testing.TB) testDB {
	t.Helper()
	e := enginetest.Start(t)
	applied.Do(func() {
		if err := Apply(context.Background(), e.DSN(), Options{Logger: quiet}); err != nil {
			t.Fatal(err)
		}
	})
	return open(t, e.DSN())
}

func open(t testing.TB, dsn string) testDB {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	db := clickhouse.OpenDB(o)
	t.Cleanup(func() { db.Close() })
	return testDB{db}
}

func (db testDB) one(t testing.TB, query string, into ...any) {
	t.Helper()
	if err := db.QueryRowContext(context.Background(), query).Scan(into...); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
}

func (db testDB) run(t testing.TB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
}

func TestFourCollectorsStartAtOnce(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	for _, object := range []string{"DATABASE passalong_private", "TABLE passalong.migrations", "TABLE passalong.events", "TABLE passalong.lineage", "TABLE passalong.sites"} {
		db.run(t, "DROP "+object+" SYNC")
	}
	var wg sync.WaitGroup
	problems := make(chan error, 4)
	for range 4 {
		wg.Go(func() { problems <- Apply(context.Background(), e.DSN(), Options{Logger: quiet}) })
	}
	wg.Wait()
	close(problems)
	for err := range problems {
		if err != nil {
			t.Error(err)
		}
	}
	var twice uint64
	db.one(t, "SELECT count() FROM (SELECT version_id FROM passalong.migrations GROUP BY version_id HAVING count() > 1)", &twice)
	if twice != 0 {
		t.Errorf("%d migrations ran more than once", twice)
	}
	db.noLocks(t)
}

func (db testDB) noLocks(t *testing.T) {
	t.Helper()
	var left uint64
	db.one(t, "SELECT count() FROM system.tables WHERE name LIKE 'migration_lock%'", &left)
	if left != 0 {
		t.Errorf("%d locks were left behind", left)
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	const stored = "SELECT groupArray((database, name, create_table_query)) AS a, cityHash64(toString(a)) FROM (SELECT * FROM system.tables WHERE database LIKE 'passalong%' ORDER BY database, name)"
	var before, after uint64
	db.one(t, "SELECT tupleElement(x, 2) FROM (SELECT tuple(*) AS x FROM ("+stored+"))", &before)
	if err := Apply(context.Background(), e.DSN(), Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	db.one(t, "SELECT tupleElement(x, 2) FROM (SELECT tuple(*) AS x FROM ("+stored+"))", &after)
	if before != after {
		t.Error("tables or views are not what they were")
	}
}

// A collector that was killed between the making of goose's table and the first
// row of it leaves a table that goose alone would refuse for ever.
// What is as it should be is left alone, on a full disk above all; what is not
// is made anew.
func TestViewsAreWrittenOnlyWhenTheyDiffer(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	apply := func() {
		t.Helper()
		if err := Apply(context.Background(), e.DSN(), Options{Logger: quiet}); err != nil {
			t.Fatal(err)
		}
	}
	id := func() (id string) {
		t.Helper()
		db.one(t, "SELECT toString(uuid) FROM system.tables WHERE database = 'passalong' AND name = 'nodes'", &id)
		return id
	}
	apply()
	was := id()
	apply()
	if got := id(); got != was {
		t.Error("a view was made anew although nothing had changed")
	}
	db.run(t, "DROP VIEW passalong.nodes")
	apply()
	if got := id(); got == was {
		t.Error("it is the same view after it was dropped")
	}
	was = id()
	db.run(t, "DROP VIEW passalong_private.views_written")
	apply()
	if got := id(); got == was {
		t.Error("views of which is not known what they are were left")
	}
}

func TestCrashInTheFirstMigrationIsMadeUpFor(t *testing.T) {
	dsn := enginetest.New(t, engine.Options{}).DSN()
	db := open(t, dsn)
	r, err := newRenderer("")
	if err != nil {
		t.Fatal(err)
	}
	v, err := newVersions(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CreateVersionTable(t.Context(), db.DB); err != nil {
		t.Fatal(err)
	}
	if err := Apply(t.Context(), dsn, Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
}

func TestLockOfACrashedCollectorIsBroken(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	// As a crash of the engine leaves it: the table is there, its rows are gone.
	db.run(t, "CREATE TABLE passalong.migration_lock (beat DateTime64(3, 'UTC'), owner String) ENGINE = Memory")
	start := time.Now()
	if err := Apply(context.Background(), e.DSN(), Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < lockStale-time.Second {
		t.Errorf("broken after %v; a lock that young may have a holder", took)
	}
	db.noLocks(t)
}

func TestLockIsWaitedForAndThenNamed(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	l, err := acquire(context.Background(), db.DB, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	err = Apply(context.Background(), e.DSN(), Options{Wait: 300 * time.Millisecond, Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "another collector") {
		t.Errorf("got %v, want a word about another collector", err)
	}
}

func TestSitesAreSaid(t *testing.T) {
	e := enginetest.Start(t)
	db := connect(t)
	db.empty(t)
	say := func(sites ...Site) {
		t.Helper()
		if err := Apply(context.Background(), e.DSN(), Options{Sites: sites, Logger: quiet}); err != nil {
			t.Fatal(err)
		}
	}
	say(Site{ID: "news.example"}, Site{ID: "shop.example", Currency: "usd", Timezone: "America/New_York", Privacy: "consent"})
	say(Site{ID: "news.example"}, Site{ID: "shop.example", Currency: "GBP"})
	got := db.query(t, "SELECT site, currency, timezone, privacy FROM passalong.sites FINAL ORDER BY site")
	want := "site\tcurrency\ttimezone\tprivacy\nnews.example\tEUR\tUTC\tfull\nshop.example\tGBP\tUTC\tfull\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	var rows uint64
	db.one(t, "SELECT count() FROM passalong.sites WHERE site = 'news.example'", &rows)
	if rows != 1 {
		t.Errorf("news.example was written %d times, though nothing changed", rows)
	}
}

// A tree is read by the bloom filter on origin, and a row whose origin was
// decided anew is not found under its old one.
func TestTreeIsReadByIndex(t *testing.T) {
	db := connect(t)
	db.empty(t)
	db.run(t, `INSERT INTO passalong.lineage (site, token, kind, parent, origin, depth, time, version)
SELECT 'news.example', concat('t', leftPad(toString(number), 8, '0')), 'view', if(number % 50 = 0, '', 'p'), concat('o', toString(intDiv(number, 50))), 1, now64(3), 1 FROM numbers(200000)`)
	db.run(t, "INSERT INTO passalong.lineage (site, token, kind, parent, origin, depth, time, version) SELECT 'news.example', 't00000123', 'view', 'p', 'elsewhere', 2, now64(3), 2")
	var rows, moved uint64
	db.one(t, "SELECT count(), countIf(token = 't00000123') FROM passalong.nodes WHERE site = 'news.example' AND origin = 'o2'", &rows, &moved)
	if rows != 49 || moved != 0 {
		t.Errorf("origin o2 has %d rows, %d of them the one that moved; want 49 and 0", rows, moved)
	}
	plan := db.query(t, "EXPLAIN indexes = 1 SELECT token FROM passalong.nodes WHERE site = 'news.example' AND origin = 'o2'")
	if !strings.Contains(plan, "by_origin") {
		t.Errorf("by_origin is not used:\n%s", plan)
	}
	var all, read int
	for line := range strings.Lines(plan) {
		if n, ok := strings.CutPrefix(strings.TrimLeft(line, " │├└─"), "Granules: "); ok {
			fmt.Sscanf(n, "%d/%d", &read, &all)
		}
	}
	if read == 0 || read > 40 {
		t.Errorf("%d granules of about 390 are read:\n%s", read, plan)
	}
}
