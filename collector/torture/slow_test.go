package torture

import (
	"slices"
	"testing"
	"time"
)

// latency is the 99th percentile of the answers 204 from entry `from` on.
func (l *ledger) latency(from int) (p99 time.Duration, answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, e := range l.entries[from:] {
		if e.status == 204 {
			all = append(all, e.took)
		}
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)*99/100], len(all)
}

func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// A ClickHouse that takes rows more slowly than they come makes the spool grow
// and nobody wait. Once it is fast again, what waits is loaded in order.
func TestASlowClickHouseSlowsNoBeacon(t *testing.T) {
	r := newRemote(t, seed(t))
	c := r.serve().ready()
	r.send(100, 4)
	c.flush()
	long := at(t, 2*time.Second, 15*time.Second, 3*time.Minute)
	run := func() (time.Duration, int) {
		from := r.ledger.size()
		stop := r.load(4, 10*time.Millisecond)
		time.Sleep(long) // the load itself, not a wait for something
		stop()
		return r.ledger.latency(from)
	}
	fast, n := run()
	r.proxy.slow(8 << 10)
	r.proxy.drop()
	slow, m := run()
	waiting, behind := c.figures()["passalong_spool_rows"], c.figures()["passalong_loader_lag_seconds"]
	t.Logf("99 of 100 of %d answers within %v; of %d while ClickHouse is slow within %v; then %v rows waited, the oldest for %.1f s", n, fast, m, slow, waiting, behind)
	if behind < 1 {
		t.Errorf("the oldest row waited for %.1f s: this shows nothing", behind)
	}
	// Twice, and some room for a machine that does something else meanwhile.
	if slow > 2*fast+50*time.Millisecond {
		t.Errorf("answers took %v while ClickHouse was slow, %v before", slow, fast)
	}
	if m < n/2 {
		t.Errorf("%d answers while ClickHouse was slow, %d before", m, n)
	}
	r.proxy.heal()
	r.proxy.drop()
	r.check()
	c.stop()
}
