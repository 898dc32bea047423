package torture

import "testing"

// Without any fault the oracle finds nothing: what it finds in the other tests
// is the fault's.
func TestNothingIsWrongWithoutAFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, seed(t))
	c := w.serve()
	w.send(at(t, 600, 5_000, 50_000), 8)
	c.ready()
	w.check()
	c.stop()
	c = w.serve()
	w.send(200, 4)
	w.check()
	c.stop()
}
