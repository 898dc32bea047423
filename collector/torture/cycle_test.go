package torture

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A place is a system call in a cycle: the nth of those with this name.
type place struct {
	what string
	nth  int
}

func (p place) String() string { return fmt.Sprintf("%s, number %d", p.what, p.nth) }

// A cycle is some beacons and all that comes of them, until the process whose
// calls are followed has nothing to do any more.
type cycle struct {
	*world
	pid   int
	names []string
	name  func(call) string // of a place; empty for a call that is none

	beacons, connections int
	rest                 time.Duration // it is over when there was no call for so long
	limit                time.Duration // or after this time at most
}

// run goes through one cycle and returns the places it came by. If at is given,
// kill is called there, once, while the call waits; and the cycle is over.
func (c cycle) run(at *place, kill func()) (met []place, killed bool) {
	c.Helper()
	var (
		mu     sync.Mutex
		seen   []place
		done   bool
		last   = time.Now()
		began  = last
		counts = map[string]int{}
		hit    = make(chan struct{})
	)
	tr := trace(c, c.pid, c.names, func(call call) {
		what := c.name(call)
		if what == "" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		last = time.Now()
		counts[what]++
		p := place{what, counts[what]}
		seen = append(seen, p)
		if at != nil && p == *at && !done {
			kill()
			done = true
			close(hit)
		}
	})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.send(c.beacons, c.connections)
	}()
	over := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return time.Since(began) > c.limit || time.Since(last) > c.rest
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for waiting := true; waiting; {
		select {
		case <-hit:
			waiting = false
		case <-tr.ended:
			waiting = false
		case <-look.C:
			waiting = !over()
		}
	}
	mu.Lock()
	at = nil // too late from here on
	mu.Unlock()
	tr.detach()
	<-sent
	mu.Lock()
	defer mu.Unlock()
	return seen, done
}

// until goes through cycles until kill was called at a place. One cycle is not
// quite like the other: a place that does not come is replaced by the last one
// of its name that did. It says whether there was one.
func (c cycle) until(p place, kill func()) bool {
	c.Helper()
	for range 2 {
		met, killed := c.run(&p, kill)
		if killed {
			return true
		}
		c.Logf("%s did not come, in %d calls", p, len(met))
		p.nth = 0
		for _, m := range met {
			if m.what == p.what {
				p.nth = m.nth
			}
		}
		if p.nth == 0 {
			return false
		}
	}
	return false
}

// sample draws n places, spread over the cycle, and always those that hold one
// of these texts; all of them when n is larger. They come in the cycle's order.
func sample(t testing.TB, seed uint64, places []place, n int, always ...string) []place {
	t.Helper()
	if n >= len(places) {
		return places
	}
	r := chance(seed, 2)
	var out []place
	for i := range n { // one out of each n-th part
		from, to := i*len(places)/n, (i+1)*len(places)/n
		out = append(out, places[from+r.IntN(to-from)])
	}
	for _, text := range always {
		i := slices.IndexFunc(places, func(p place) bool { return strings.Contains(p.what, text) })
		if i < 0 {
			t.Fatalf("the cycle has no call with %q:\n%v", text, places)
		}
		if !slices.Contains(out, places[i]) {
			out = append(out, places[i])
		}
	}
	slices.SortFunc(out, func(a, b place) int { return slices.Index(places, a) - slices.Index(places, b) })
	return out
}

// namer gives the files of a data directory names that are the same in every
// cycle: numbers are left out, tables are called by their names.
func namer(t testing.TB, dir string, conn driver.Conn) func(path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	tables := []string{}
	o := oracle{TB: t, conn: conn}
	o.query("SELECT toString(uuid), name FROM system.tables WHERE database = 'passalong' AND name IN ('events', 'lineage')", func(rows driver.Rows) error {
		var id, name string
		err := rows.Scan(&id, &name)
		tables = append(tables, "clickhouse/data/store/"+id[:3]+"/"+id, name)
		return err
	})
	if len(tables) != 4 {
		t.Fatalf("the tables are %q", tables)
	}
	known := strings.NewReplacer(tables...)
	return func(path string) string {
		inside, ok := strings.CutPrefix(path, real)
		if !ok {
			if inside, ok = strings.CutPrefix(path, dir); !ok {
				return ""
			}
		}
		inside = known.Replace(strings.TrimPrefix(inside, "/"))
		return strings.TrimPrefix(strings.TrimSuffix(digits.ReplaceAllString(inside, "N"), "/"), "spool/events/")
	}
}

var digits = regexp.MustCompile(`[0-9]+`)
