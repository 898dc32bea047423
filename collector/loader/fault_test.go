package loader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/event"
)

// until polls what has no signal: another process's state.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// loaded returns a world with two loaded batches of a stopped collector, both
// not yet released.
func loaded(t *testing.T) (w *world, o Options, rows int) {
	w = newWorld(t)
	o = w.options(openSpool(t, ""))
	c := w.start(o)
	beacons := crowd(3, 200, 0)
	c.load(beacons[:120]...)
	c.load(beacons[120:]...)
	c.stop()
	rows = rowsOf(beacons)
	w.exact(rows)
	if len(o.Spool.Loaded()) < 2 {
		t.Fatalf("%d batches wait for their release, want 2 or more", len(o.Spool.Loaded()))
	}
	return w, o, rows
}

// What can be wrong with loaded batches when a collector starts.
func TestTheNewestBatchesAreCountedAtTheStart(t *testing.T) {
	for name, damage := range map[string][]string{
		"nothing is wrong":                  nil,
		"all rows are gone":                 {"TRUNCATE TABLE passalong.events"},
		"some rows are gone":                {"ALTER TABLE passalong.events DELETE WHERE row % 3 = 0 SETTINGS mutations_sync = 2"},
		"rows are doubled":                  {"INSERT INTO passalong.events SETTINGS insert_deduplicate = 0 SELECT * FROM passalong.events WHERE row < 50"},
		"some are doubled as many are gone": {"INSERT INTO passalong.events SETTINGS insert_deduplicate = 0 SELECT * FROM passalong.events WHERE row < 10", "ALTER TABLE passalong.events DELETE WHERE row >= 20 AND row < 30 SETTINGS mutations_sync = 2"},
		"the nodes are missing":             {"TRUNCATE TABLE passalong.lineage"},
		"some nodes are missing":            {"ALTER TABLE passalong.lineage DELETE WHERE cityHash64(token) % 4 = 0 SETTINGS mutations_sync = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			w, o, rows := loaded(t)
			for _, statement := range damage {
				w.exec(statement)
			}
			batches := len(o.Spool.Loaded())
			c := w.start(o)
			c.flush()
			w.exact(rows)
			if got := c.Stats().Recounts; got != uint64(batches) {
				t.Errorf("%d batches were counted, want %d", got, batches)
			}
		})
	}
}

func TestABatchThatWasNeverDoneIsLoadedAtTheStart(t *testing.T) {
	w := newWorld(t)
	s := openSpool(t, "")
	c := &collector{world: w, spool: s}
	c.append(view("ann", "", "ann", 0), view("bob", "ann", "bob", 1))
	if _, err := s.Next(t.Context(), 0, 0); err != nil { // cut, and then the process died
		t.Fatal(err)
	}
	c.append(view("cyd", "bob", "cyd", 2))
	c = w.start(w.options(s))
	c.flush()
	w.exact(3)
	if got := w.number("SELECT uniqExact(batch) FROM passalong.events"); got != 2 {
		t.Errorf("%d batches, want the one that was cut and a second", got)
	}
}

func TestAnOldInsertIsEndedBeforeCounting(t *testing.T) {
	w := newWorld(t)
	s := openSpool(t, "")
	c := &collector{world: w, spool: s}
	c.append(view("ann", "", "ann", 0), view("bob", "ann", "bob", 1))
	b, err := s.Next(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := read(s.ID(), b, nil)
	if err != nil {
		t.Fatal(err)
	}
	label := d.parts[0].label
	ended := make(chan error, 1)
	go func() {
		ctx := clickhouse.Context(context.Background(), clickhouse.WithQueryID(queryID(label)))
		ended <- w.conn.Exec(ctx, `INSERT INTO passalong.events (site, type, time, row, batch)
			SELECT 'news.example', 'view', toDateTime64('2026-10-01 12:00:00', 3, 'UTC'), number + sleepEachRow(1), $1
			FROM numbers(60) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 100000000`, label)
	}()
	until(t, "the old insert to run", func() bool {
		return w.number("SELECT count() FROM system.processes WHERE startsWith(query_id, $1)", queryPrefix+label) == 1
	})
	c = w.start(w.options(s))
	c.flush()
	w.exact(2)
	if err := <-ended; err == nil {
		t.Error("the old insert went on to its end")
	}
}

// The engine dies at any moment of inserts, and comes back.
func TestTheEngineIsKilledUnderLoad(t *testing.T) {
	noLeak(t)
	e := enginetest.New(t, engine.Options{})
	w := openWorld(t, e.DSN())
	o := w.options(openSpool(t, ""))
	o.Generation = e.Generation
	o.FlushRows, o.FlushInterval = 60, time.Millisecond
	c := w.start(o)
	beacons := crowd(4, deep(800, 3000), 0)
	kills := 0
	for some := range slices.Chunk(beacons, 200) {
		c.appendAll(some)
		before := c.Stats().Batches
		until(t, "a batch to be loaded", func() bool { return c.Stats().Batches > before || c.Stats().Lag == 0 })
		if pid := e.PID(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				kills++
			}
		}
	}
	c.flush()
	w.exact(rowsOf(beacons))
	if kills < 3 || c.Stats().Retries == 0 {
		t.Errorf("killed %d times, %d retries: this run shows nothing", kills, c.Stats().Retries)
	}
	c.stop()
	w.conn.Close()
}

// A release that has begun when the engine comes back must not take away what
// is about to be counted again: the spool would take that for damage.
func TestNothingIsReleasedWhileItIsCountedAgain(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	var generation atomic.Int32
	o.Generation = func() int { return int(generation.Load()) }
	var begin atomic.Bool
	syncing, synced := make(chan struct{}, 1), make(chan struct{})
	o.Keep = time.Millisecond
	o.Sync = func() error {
		if !begin.Load() {
			return errors.New("not yet")
		}
		select {
		case syncing <- struct{}{}:
		default:
		}
		<-synced
		return nil
	}
	c := w.start(o)
	rows := 0
	for batch := range 8 {
		c.load(one(view(fmt.Sprint("ann", batch), "", "ann", batch)))
		rows++
	}
	begin.Store(true)
	<-syncing // and it does not return
	generation.Add(1)
	c.append(view("bob", "ann0", "bob", 9)) // wakes stage one
	rows++
	until(t, "the recount", func() bool { return c.Stats().State == "recounting" })
	close(synced)
	c.flush()
	until(t, "the release", func() bool { return len(o.Spool.Loaded()) == 0 })
	if err := o.Spool.Err(); err != nil {
		t.Error(err)
	}
	w.exact(rows)
}

// A stopped engine answers nothing. The attempt ends by its limit, with an
// unknown outcome, and the insert may go on when the engine does.
func TestTheEngineIsStoppedInMidInsert(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	w := openWorld(t, e.DSN())
	o := w.options(openSpool(t, ""))
	o.FlushRows, o.FlushInterval, o.Attempt = 60, time.Millisecond, 500*time.Millisecond
	c := w.start(o)
	beacons := crowd(5, deep(400, 1500), 0)
	for some := range slices.Chunk(beacons, 200) {
		c.appendAll(some)
		retries := c.Stats().Retries
		if err := syscall.Kill(e.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		until(t, "an attempt to reach its limit", func() bool { return c.Stats().Retries > retries })
		if got := c.Stats().State; got != "waiting" {
			t.Errorf("state %q while the engine stands still", got)
		}
		if err := syscall.Kill(e.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
	w.exact(rowsOf(beacons))
}

func TestAServerStateIsNotBlamedOnARow(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	o.Quarantine = t.TempDir()
	c := w.start(o)
	c.load(one(view("ann", "", "ann", 0)))
	for _, state := range []struct {
		name, begin, end string
		class            Class
	}{
		{"no table", "RENAME TABLE passalong.events TO passalong.away", "RENAME TABLE passalong.away TO passalong.events", ClassSchema},
		{"no table for nodes", "RENAME TABLE passalong.lineage TO passalong.away", "RENAME TABLE passalong.away TO passalong.lineage", ClassSchema},
		{"too many parts", "ALTER TABLE passalong.events MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1",
			"ALTER TABLE passalong.events RESET SETTING parts_to_throw_insert, parts_to_delay_insert", ClassParts},
	} {
		t.Run(state.name, func(t *testing.T) {
			rows := w.number("SELECT count() FROM passalong.events")
			w.exec("SYSTEM STOP MERGES passalong.events")
			w.exec(state.begin)
			until(t, "trouble", func() bool {
				c.append(view("bob"+state.name, "ann", "bob", 1))
				rows++
				return c.Stats().Trouble == state.class
			})
			if s := c.Stats(); s.State != "waiting" || s.LastError != state.class {
				t.Errorf("while it lasts: %+v", s)
			}
			w.exec(state.end)
			w.exec("SYSTEM START MERGES passalong.events")
			c.flush()
			if s := c.Stats(); s.Trouble != ClassNone || s.Quarantined != 0 || s.State == "waiting" {
				t.Errorf("afterwards: %+v", s)
			}
			w.exact(int(rows))
		})
	}
}

func TestARefusedRowGoesToQuarantine(t *testing.T) {
	w := newWorld(t)
	w.exec("ALTER TABLE passalong.events ADD CONSTRAINT test CHECK title != 'refused'")
	t.Cleanup(func() { w.exec("ALTER TABLE passalong.events DROP CONSTRAINT test") })
	o := w.options(openSpool(t, ""))
	o.Quarantine = filepath.Join(t.TempDir(), "quarantine")
	beacons := crowd(6, 400, 0)
	for _, i := range []int{0, 177, 178, 399} {
		beacons[i][0].Title = "refused"
	}
	rows := rowsOf(beacons)
	c := &collector{world: w, spool: o.Spool}
	c.append(slices.Concat(beacons...)...)
	c = w.start(o)
	c.flush()
	if got := w.number("SELECT count() FROM passalong.events"); got != uint64(rows-4) {
		t.Errorf("%d rows, want %d", got, rows-4)
	}
	files, err := os.ReadDir(o.Quarantine)
	if err != nil || len(files) != 4 {
		t.Fatalf("%d files in quarantine (%v), want 4", len(files), err)
	}
	content, err := os.ReadFile(filepath.Join(o.Quarantine, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	var e event.Event
	if err := e.UnmarshalVT(content); err != nil || e.Title != "refused" {
		t.Errorf("in quarantine: %v, title %q", err, e.Title)
	}
	c.stop()

	// The recount at the next start expects the others only.
	c = w.start(o)
	c.flush()
	if s := c.Stats(); s.Quarantined != 4 || s.Retries != 0 {
		t.Errorf("after a start: %+v", s)
	}
	if got := w.number("SELECT count() FROM passalong.events"); got != uint64(rows-4) {
		t.Errorf("after a start: %d rows, want %d", got, rows-4)
	}
}

func TestWithoutAQuarantineARefusedRowHoldsUp(t *testing.T) {
	w := newWorld(t)
	w.exec("ALTER TABLE passalong.events ADD CONSTRAINT test CHECK title != 'refused'")
	o := w.options(openSpool(t, ""))
	c := w.start(o)
	e := view("ann", "", "ann", 0)
	e.Title = "refused"
	c.append(e)
	until(t, "trouble", func() bool { return c.Stats().Trouble == ClassRow })
	w.exec("ALTER TABLE passalong.events DROP CONSTRAINT test")
	c.flush()
	w.exact(1)
}

func TestAnEndWhileTheServerIsAway(t *testing.T) {
	noLeak(t)
	w := newWorld(t)
	s := openSpool(t, "")
	o := w.options(s)
	w.exec("RENAME TABLE passalong.events TO passalong.away")
	c := w.start(o)
	c.append(view("ann", "", "ann", 0))
	until(t, "trouble", func() bool { return c.Stats().Trouble != ClassNone })
	began := time.Now()
	c.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
	if got := c.Stats().State; got != "stopped" {
		t.Errorf("state %q", got)
	}
	if err := c.Flush(t.Context()); !errors.Is(err, errNotRunning) {
		t.Errorf("flush of a stopped loader: %v", err)
	}
	w.exec("RENAME TABLE passalong.away TO passalong.events")
	w.start(o).flush()
	w.exact(1)
}

func TestLoadedEventsAreReleasedAfterASync(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	var syncs, fails atomic.Int32
	fails.Store(1)
	o.Keep, o.SweepInterval = time.Millisecond, 20*time.Millisecond
	o.Sync = func() error {
		syncs.Add(1)
		if fails.Load() > 0 {
			return errors.New("disk is away")
		}
		return nil
	}
	c := w.start(o)
	c.load(one(view("ann", "", "ann", 0)))
	until(t, "a sync", func() bool { return syncs.Load() > 1 })
	if len(o.Spool.Loaded()) != 1 {
		t.Fatal("released although the sync failed")
	}
	fails.Store(0)
	until(t, "the release", func() bool { return len(o.Spool.Loaded()) == 0 })
	done := syncs.Load()
	c.load(one(view("bob", "ann", "bob", 0)))
	until(t, "the next release", func() bool { return len(o.Spool.Loaded()) == 0 })
	if got := syncs.Load() - done; got != 1 {
		t.Errorf("%d syncs for one batch", got)
	}
	w.exact(2)
}

func TestAnEngineThatCameBackIsCountedAgain(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	var generation atomic.Int32
	o.Generation = func() int { return int(generation.Load()) }
	o.SweepInterval = 20 * time.Millisecond
	c := w.start(o)
	c.load(one(view("ann", "", "ann", 0)), one(view("bob", "ann", "bob", 0)))
	w.exec("TRUNCATE TABLE passalong.events") // what a power cut may do
	w.exec("TRUNCATE TABLE passalong.lineage")
	generation.Add(1)
	until(t, "the rows to be back", func() bool { return w.number("SELECT count() FROM passalong.events") == 2 })
	until(t, "the nodes to be back", func() bool { return w.number("SELECT count() FROM passalong.lineage FINAL") == 2 })
	c.flush()
	w.exact(2)
}
