package torture

import (
	"cmp"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A loss is what a power cut may take of what the engine wrote: its
// deduplication log is never synced, and neither is, on some systems, the
// rename that makes a part.
type loss struct {
	name string
	make func(w *world, rnd *rand.Rand, since time.Time) (things int)
}

var losses = []loss{
	{"the deduplication logs are empty", func(w *world, _ *rand.Rand, _ time.Time) int {
		return w.tear(func(path string, size int64) error { return os.Truncate(path, 0) })
	}},
	{"the deduplication logs are torn", func(w *world, rnd *rand.Rand, _ time.Time) int {
		return w.tear(func(path string, size int64) error { return os.Truncate(path, rnd.Int64N(size+1)) })
	}},
	{"the deduplication logs are gone", func(w *world, _ *rand.Rand, _ time.Time) int {
		return w.tear(func(path string, _ int64) error { return os.Remove(path) })
	}},
	{"the deduplication logs end in zeros", func(w *world, rnd *rand.Rand, _ time.Time) int {
		return w.tear(func(path string, size int64) error {
			err := os.Truncate(path, rnd.Int64N(size+1)) // blocks that were promised and never written
			if err == nil {
				err = os.Truncate(path, size)
			}
			return err
		})
	}},
	{"the newest parts are gone", func(w *world, rnd *rand.Rand, since time.Time) int {
		return w.loseParts(rnd, since)
	}},
	{"the newest parts and the deduplication logs are gone", func(w *world, rnd *rand.Rand, since time.Time) int {
		return w.loseParts(rnd, since) + w.tear(func(path string, size int64) error { return os.Truncate(path, rnd.Int64N(size+1)) })
	}},
	{"the newest parts are gone, and the deduplication logs know them", func(w *world, rnd *rand.Rand, since time.Time) int {
		return w.loseParts(rnd, since) // the log was written, the rename lost: a repeat under its token would be dropped
	}},
}

// Power goes while batches are loaded, or just after; the engine finds less
// than it had written. What was loaded since the last sync is loaded again, once.
func TestAPowerCutOfTheEngineCostsNothing(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	c := w.serve().ready()
	rnd := chance(n, 23)
	lost := 0 // of the newest parts there may be none: they are of this minute
	for i := range at(t, 2, 2*len(losses), 20*len(losses)) {
		l := losses[(i*3+int(n))%len(losses)] // 3 and 7 have no divisor: all come
		began := time.Now()
		if rnd.IntN(2) == 0 { // nothing is under way
			w.send(60, 4)
			c.flush()
		} else {
			done := c.figures()["passalong_loader_batches_total"]
			stop := w.load(4, 5*time.Millisecond)
			c.until("some batches", func() bool { return c.figures()["passalong_loader_batches_total"] > done+4 })
			w.off(c)
			stop()
		}
		w.off(c)
		things := l.make(w, rnd, began)
		t.Logf("%s: %d", l.name, things)
		lost += things
		c = w.serve().ready()
		w.check()
		if t.Failed() {
			t.Fatalf("after: %s", l.name)
		}
	}
	if lost == 0 {
		t.Error("nothing was there to lose: this shows nothing")
	}
	c.stop()
}

// off ends collector and engine in one moment.
func (w *world) off(c *collector) {
	engine := c.enginePID()
	killProcess(engine)
	c.kill()
	c.until("the engine is gone", func() bool { return engine == 0 || syscall.Kill(engine, 0) != nil })
}

// tear does something to each deduplication log.
func (w *world) tear(how func(path string, size int64) error) (logs int) {
	w.Helper()
	w.walk(func(path string, info fs.FileInfo) {
		if info.IsDir() || filepath.Base(filepath.Dir(path)) != "deduplication_logs" {
			return
		}
		if err := how(path, info.Size()); err != nil {
			w.Fatal(err)
		}
		logs++
	})
	return logs
}

// loseParts removes the newest parts of all tables that the loader writes, as
// many as chance says, of those that were made since then: the last renames.
func (w *world) loseParts(rnd *rand.Rand, since time.Time) (lost int) {
	w.Helper()
	type part struct {
		path string
		at   time.Time
	}
	var parts []part
	w.walk(func(path string, info fs.FileInfo) {
		// YYYYMM_first_last_level, and what a mutation adds; beside a deduplication log.
		name := filepath.Base(path)
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), "deduplication_logs")); err != nil || !info.IsDir() || strings.Count(name, "_") < 3 {
			return
		}
		if name[0] >= '0' && name[0] <= '9' && info.ModTime().After(since) {
			parts = append(parts, part{path, info.ModTime()})
		}
	})
	if len(parts) == 0 {
		return 0
	}
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(b.at.Compare(a.at), strings.Compare(b.path, a.path))
	})
	for _, p := range parts[:1+rnd.IntN(len(parts))] {
		if err := os.RemoveAll(p.path); err != nil {
			w.Fatal(err)
		}
		lost++
	}
	return lost
}

// walk shows all of what the engine has on disk.
func (w *world) walk(each func(path string, info fs.FileInfo)) {
	w.Helper()
	err := filepath.Walk(filepath.Join(w.setup.dir, "clickhouse", "data", "store"), func(path string, info fs.FileInfo, err error) error {
		if err == nil {
			each(path, info)
		}
		return nil // it was removed just now
	})
	if err != nil {
		w.Fatal(err)
	}
}
