package torture

import (
	"syscall"
	"testing"
	"time"
)

// The engine is stopped with SIGSTOP in the middle of inserts, and continued.
// Beacons are answered meanwhile.
func TestAStoppedEngineCostsNothing(t *testing.T) {
	t.Parallel()
	n := seed(t)
	r := newRemote(t, n)
	c := r.serve().ready()
	rnd := chance(n, 22)
	r.send(60, 4) // the first beacon of a site and day asks ClickHouse for the salt
	stop := r.load(4, 10*time.Millisecond)
	for i := range at(t, 2, 12, 400) {
		table := []string{"passalong.events", "passalong.lineage"}[i%2]
		stopped := make(chan struct{})
		hit := false
		// Some hundred microseconds after the statement has come: in its middle.
		after := time.Duration(rnd.IntN(4000)) * time.Microsecond
		r.proxy.set(func(s statement) fault {
			if !hit && takes(s, table) {
				hit = true
				time.AfterFunc(after, func() {
					_ = syscall.Kill(r.engine.PID(), syscall.SIGSTOP)
					close(stopped)
				})
			}
			return fault{}
		})
		select {
		case <-stopped:
		case <-time.After(patience):
			t.Fatalf("no insert into %s came\n%s", table, c.log.tail(20))
		}
		taken := r.ledger.count(204)
		c.until("beacons to be taken while the engine stands still", func() bool { return r.ledger.count(204) > taken+100 })
		_ = syscall.Kill(r.engine.PID(), syscall.SIGCONT)
		r.proxy.heal()
	}
	stop()
	r.check()
	if g := r.engine.Generation(); g != 1 {
		t.Errorf("the engine was started %d times", g)
	}
	c.stop()
}

// The same for longer than an attempt may take, with the collector's own
// engine: the insert goes on when its outcome has long been unknown.
func TestAnEngineIsStoppedForLongerThanAnAttempt(t *testing.T) {
	only(t, short)
	t.Parallel()
	w := newWorld(t, seed(t))
	c := w.serve().ready()
	stop := w.load(4, 10*time.Millisecond)
	for range at(t, 0, 2, 10) {
		waits := c.log.count("loading waits", "reason=timeout")
		taken := w.ledger.count(204)
		engine := c.enginePID()
		_ = syscall.Kill(engine, syscall.SIGSTOP)
		c.until("an attempt to reach its limit", func() bool { return c.log.count("loading waits", "reason=timeout") > waits })
		if got := c.state(); got != "waiting" {
			t.Errorf("the loader is %q while the engine stands still, want waiting", got)
		}
		if n := w.ledger.count(204) - taken; n < 500 {
			t.Errorf("%d beacons were taken in a minute while the engine stood still", n)
		}
		_ = syscall.Kill(engine, syscall.SIGCONT)
		c.until("loading to go on", func() bool { return c.state() != "waiting" })
	}
	stop()
	w.check()
	if w.ledger.count(503) > 0 {
		t.Errorf("%d beacons got 503", w.ledger.count(503))
	}
	c.stop()
}
