package torture

import (
	"sync"
	"testing"
	"time"
)

// attemptLimit is what the loader gives one statement before it takes its
// outcome as unknown. There is no setting for it.
const attemptLimit = time.Minute

// Statements of each table are cut before they begin, in the middle of their
// rows, and after they are done: an insert whose answer is lost is counted.
func TestAStatementIsCutAroundItsCommit(t *testing.T) {
	t.Parallel()
	r := newRemote(t, seed(t))
	c := r.serve().ready()
	r.send(30, 4)
	for range at(t, 1, 10, 100) {
		for _, table := range []string{"passalong.events", "passalong.lineage"} {
			for _, m := range []moment{before, during, after} {
				ended := c.log.count("loading goes on")
				hit := false
				r.proxy.set(func(s statement) fault {
					if hit || !takes(s, table) {
						return fault{}
					}
					hit = true
					return fault{at: m, end: cut}
				})
				r.send(20, 4)
				c.until("the cut, and that loading goes on", func() bool { return c.log.count("loading goes on") > ended })
				r.proxy.heal()
			}
		}
	}
	r.check()
	c.stop()
}

// An answer that comes after the loader has given the statement up, or rows
// that reach the server then, or a server that is never told that nobody waits
// any more. The loader may wait as long as one attempt for it, and may be wrong
// about nothing.
func TestAnswersThatComeTooLateCostNothing(t *testing.T) {
	only(t, short)
	t.Parallel()
	// They wait most of the time, so more of them run at once than there are
	// processors, which t.Parallel would not do.
	var all sync.WaitGroup
	room := make(chan struct{}, 5)
	for name, f := range map[string]fault{
		"the query arrives when nobody waits":        {at: before, end: late},
		"the rows arrive when nobody waits":          {at: during, end: late},
		"the rows never arrive":                      {at: during, end: silent},
		"the answer never arrives":                   {at: after, end: silent},
		"the server does not hear that nobody waits": {at: during, end: halfOpen},
	} {
		for _, table := range []string{"passalong.events", "passalong.lineage"} {
			all.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				t.Run(name+", "+table, func(t *testing.T) { comesTooLate(t, f, table) })
			})
		}
	}
	all.Wait()
}

func comesTooLate(t *testing.T, f fault, table string) {
	r := newRemote(t, seed(t))
	c := r.serve().ready()
	r.send(30, 4)
	c.flush()
	hit := false
	r.proxy.set(func(s statement) fault {
		if hit || !takes(s, table) {
			return fault{}
		}
		hit = true
		return f
	})
	began := time.Now()
	stop := r.load(2, 50*time.Millisecond)
	c.until("the attempt to end", func() bool { return c.log.count("loading waits", "reason=timeout") > 0 })
	c.until("loading to go on", func() bool { return c.log.count("loading goes on", "reason=timeout") > 0 })
	took := time.Since(began)
	stop()
	r.check()
	if took > attemptLimit+30*time.Second {
		t.Errorf("loading stood for %v after one attempt of %v", took, attemptLimit)
	}
	t.Logf("stood for %v", took.Round(time.Second))
	c.stop()
}

// Connections that a firewall has forgotten are not closed, they are just
// silent. Each costs one attempt; new ones work.
func TestSilentConnectionsCostNothing(t *testing.T) {
	only(t, short)
	t.Parallel()
	r := newRemote(t, seed(t))
	c := r.serve().ready()
	r.send(200, 8)
	c.flush()
	frozen := r.proxy.freeze()
	began := time.Now()
	r.send(50, 4)
	rows := c.figures()["passalong_loader_rows_total"]
	for end := time.Now().Add(time.Duration(frozen+1) * attemptLimit); c.figures()["passalong_loader_rows_total"] == rows; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d silent connections, and nothing is loaded after %v\n%s", frozen, time.Since(began), c.log.tail(20))
		}
	}
	t.Logf("%d silent connections held loading up for %v", frozen, time.Since(began).Round(time.Second))
	r.check()
	c.stop()
}
