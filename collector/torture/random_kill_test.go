package torture

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A death is a way in which processes end.
type death int

const (
	ofCollector   death = iota // its engine goes by itself, a second or two later
	ofEngine                   // the collector starts it again
	ofBoth                     // in one moment, as in a power cut
	ofParentFirst              // the engine while it is going by itself
	ofStart                    // of the collector, while it is starting
)

func (d death) String() string {
	return [...]string{"the collector", "the engine", "both", "the collector, then the engine", "the collector, while it started"}[d]
}

// Collector, engine, or both are killed at any moment, again and again, while
// readers send on. Who met no collector tries the next one.
func TestKilledAtRandomUnderLoad(t *testing.T) {
	t.Parallel()
	n := seed(t)
	r := chance(n, 4)
	w := newWorld(t, n)
	c := w.serve()
	rounds, kills := at(t, 1, 10, 60), at(t, 6, 10, 10)
	deaths := map[death]int{}
	for range rounds {
		stop := w.load(4, 8*time.Millisecond)
		// Each kind comes in every round.
		for _, d := range plan(r, kills) {
			deaths[d]++
			c = w.die(c, d, r)
		}
		stop()
		c.ready()
		w.check()
		if t.Failed() {
			t.Fatalf("after %v", deaths)
		}
	}
	t.Logf("deaths of %v", deaths)
	c.stop()
}

// plan draws n deaths, of each kind at least one if n allows.
func plan(r *rand.Rand, n int) []death {
	kinds := []death{ofCollector, ofEngine, ofBoth, ofParentFirst, ofStart}
	out := slices.Clone(kinds)
	for len(out) < n {
		out = append(out, kinds[r.IntN(len(kinds))])
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:n]
}

// die brings a death about after some time, and returns the collector that is
// there afterwards.
func (w *world) die(c *collector, d death, r *rand.Rand) *collector {
	w.Helper()
	// Half of the time the way out has only begun; now and then it is not there.
	if r.IntN(4) > 0 {
		c.ready()
	}
	time.Sleep(time.Duration(r.IntN(600)) * time.Millisecond)
	switch d {
	case ofCollector:
		c.kill()
	case ofEngine:
		c.killEngine() // also in its very first start, which is tried again
		return c
	case ofBoth:
		c.killEngine()
		c.kill()
	case ofParentFirst:
		engine := c.enginePID()
		c.kill()
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
		killProcess(engine)
	case ofStart:
		c.kill()
		half := start(w, w.setup)
		time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
		half.kill()
	}
	return w.serve()
}
