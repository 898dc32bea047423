package torture

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The engine is killed at each call by which an insert comes to be, into
// `events` and into `lineage`: each rename above all, for there the insert's
// token is in the deduplication log and its rows are not in the table. The
// collector starts the engine again and loads what is missing, without being
// started again itself.
func TestEngineKilledAtEveryCallOfAnInsert(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	c := w.serve().ready()
	w.send(20, 4)
	w.check()
	path := namer(t, w.setup.dir, c.reader())
	follow := func() cycle {
		c.until("the engine runs", func() bool { return c.enginePID() != 0 })
		return cycle{
			world: w, pid: c.enginePID(), beacons: 3, connections: 1, rest: time.Second, limit: 6 * time.Second,
			names: append([]string{"link", "linkat", "rmdir"}, writing...),
			name: func(call call) string {
				what := path(call.path)
				if !strings.HasPrefix(what, "events/") && !strings.HasPrefix(what, "lineage/") {
					return ""
				}
				// Merges come when they like.
				if strings.Contains(what, "tmp_merge") || strings.Contains(what, "delete_tmp") {
					return ""
				}
				return call.name + " " + what
			},
		}
	}
	places, _ := follow().run(nil, nil)
	t.Logf("the inserts of a cycle are %d calls:\n%s", len(places), list(places))
	always := []string{"rename events/tmp_insert", "rename lineage/tmp_insert"}
	if depth(t) > quick {
		always = append(always, "write events/deduplication_logs", "write lineage/deduplication_logs")
	}
	chosen := sample(t, n, places, at(t, 1, 1000, 1000), always...)
	if depth(t) > quick { // the renames come first, whatever else there is time for
		slices.SortStableFunc(chosen, func(a, b place) int { return strings.Compare(rank(a), rank(b)) })
	}
	deaths, lives := 0, 0 // lives: engines of this collector that were killed
	began := time.Now()
	for turn := range at(t, 1, 1, 3) {
		for _, p := range chosen {
			if depth(t) == short && time.Since(began) > killingTime {
				break
			}
			if lives == 3 { // an engine that dies again and again is waited for longer and longer
				c.stop()
				c, lives = w.serve().ready(), 0
				path = namer(t, w.setup.dir, c.reader())
			}
			cycle := follow()
			if cycle.until(p, func() { killProcess(cycle.pid) }) {
				deaths, lives = deaths+1, lives+1
				c.until("the collector notices that its engine died", func() bool { return c.log.count("engine died") >= lives })
			}
			w.check()
			if t.Failed() {
				t.Fatalf("turn %d: after the engine was killed at %s", turn, p)
			}
		}
	}
	t.Logf("killed at %d calls, of %d in the inserts of a cycle", deaths, len(places))
	if deaths < min(len(chosen), 20)/2 {
		t.Errorf("killed at %d calls of the %d that were chosen: nothing is proven", deaths, len(chosen))
	}
	c.stop()
}

// rank puts the calls around the commit of a part before the others.
func rank(p place) string {
	switch {
	case strings.HasPrefix(p.what, "rename"):
		return "0"
	case strings.Contains(p.what, "deduplication"), strings.HasSuffix(p.what, "_N"):
		return "1"
	}
	return "2"
}
