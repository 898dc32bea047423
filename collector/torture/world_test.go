package torture

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A world is a data directory, the collectors that come and go on it, and the
// readers that send to them.
type world struct {
	testing.TB
	setup  setup
	crowd  *crowd
	ledger *ledger
	now    atomic.Pointer[collector] // that readers send to
}

// newWorld makes one with the sites of this package. Settings are for every
// collector started in it.
func newWorld(t testing.TB, seed uint64, settings ...string) *world {
	t.Helper()
	return &world{
		TB: t, crowd: newCrowd(seed), ledger: newLedger(),
		setup: setup{dir: t.TempDir(), args: append(withSites(t), settings...)},
	}
}

// serve starts a collector on the directory, to which everything is sent from
// now on, and returns when it takes beacons.
func (w *world) serve() *collector {
	w.Helper()
	c := serve(w, w.setup)
	w.now.Store(c)
	return c
}

// send posts n beacons over some connections and returns when all have their
// answer.
func (w *world) send(n, connections int) {
	w.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			var c client
			defer c.close()
			for left.Add(-1) >= 0 {
				w.one(&c)
			}
		})
	}
	all.Wait()
}

// one sends the next beacon and writes down what became of it.
func (w *world) one(c *client) answer {
	if to := w.now.Load(); to.address != c.address {
		c.close()
		c.address = to.address
	}
	b := w.crowd.next()
	a := c.send(b)
	w.ledger.add(b, a)
	return a
}

// load sends from some connections, each with this pause between two beacons,
// until stop is called. Who meets no collector tries again with the next.
func (w *world) load(connections int, pause time.Duration) (stop func()) {
	over := make(chan struct{})
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			var c client
			defer c.close()
			for {
				w.one(&c)
				select {
				case <-over:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	once := sync.OnceFunc(func() {
		close(over)
		all.Wait()
	})
	w.Cleanup(once)
	return once
}

// check waits until everything is in every view and holds it against the
// ledger.
func (w *world) check() {
	w.Helper()
	c := w.now.Load()
	c.flush()
	w.ledger.check(w, c.reader())
}
