package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A footprint is what a process has of the machine.
type footprint struct {
	goroutines, descriptors int
	memory                  int64 // resident, bytes
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MB", f.goroutines, f.descriptors, f.memory>>20)
}

// footprint measures a collector that nobody sends to.
func (c *collector) footprint() (f footprint) {
	c.Helper()
	f.goroutines = int(c.figures()["go_goroutines"])
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(c.pid()), "fd"))
	if err != nil {
		c.Fatal(err)
	}
	f.descriptors = len(fds)
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.pid()), "status"))
	if err != nil {
		c.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			f.memory = kb << 10
		}
	}
	return f
}

// A collector that lives on while its engine dies under load, again and again,
// has no more goroutines and descriptors than after the first time, and its
// memory stays where it was.
func TestNothingGrows(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	c := w.serve().ready()
	round := func(i int) {
		stop := w.load(8, 2*time.Millisecond)
		time.Sleep(at(t, 500*time.Millisecond, 3*time.Second, 10*time.Second))
		c.killEngine()
		c.until("the engine is back", func() bool { return c.log.count("engine is back") > i })
		stop()
		w.check()
	}
	round(0)
	first := c.footprint()
	rounds := at(t, 2, 8, 30)
	for i := range rounds {
		round(i + 1)
	}
	// What a request or a broken connection has left ends within seconds. Two
	// more of each are by chance: a pool that has one more, a timer.
	var last footprint
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		last = c.footprint()
		if last.goroutines <= first.goroutines+2 && last.descriptors <= first.descriptors+2 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("after one death of the engine %s, after %d more %s", first, rounds, last)
			break
		}
	}
	t.Logf("after one death of the engine %s, after %d more %s", first, rounds, last)
	// Go gives memory back slowly; a leak of an event would be ten times as much.
	if room := first.memory/2 + 32<<20; last.memory > first.memory+room {
		t.Errorf("memory grew from %d to %d MB", first.memory>>20, last.memory>>20)
	}
	c.stop()
}
