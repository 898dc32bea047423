package torture

import (
	"math/rand/v2"
	"testing"
	"time"
)

// wholeHandshake is more than both sides say before the first statement, in
// bytes. Which it is exactly depends on names and versions.
const wholeHandshake = 400

// cutsBy draws where connections are cut: in the handshake as often as in
// queries, answers and the blocks of an insert.
func cutsBy(rnd *rand.Rand) func() (asked, answered int) {
	return func() (asked, answered int) {
		limit := 1 << (1 + rnd.IntN(17)) // up to 128 KiB
		limit = rnd.IntN(limit)
		if rnd.IntN(2) == 0 {
			return limit, -1
		}
		return -1, limit
	}
}

// Connections to ClickHouse are cut anywhere, in either direction, under load.
func TestCutConnectionsCostNothing(t *testing.T) {
	t.Parallel()
	n := seed(t)
	r := newRemote(t, n)
	c := r.serve().ready()
	rnd := chance(n, 21)
	stop := r.load(4, 20*time.Millisecond)
	// Between two rows of cuts comes a moment without, so that the pause after a
	// failure is short again.
	cuts := 0
	for cuts < at(t, 8, 60, 3_000) {
		r.proxy.cutBy(cutsBy(rnd))
		r.proxy.drop()
		c.until("four more cuts", func() bool { return r.proxy.met() >= 4 })
		cuts += r.proxy.heal()
		r.proxy.drop()
		rows := c.figures()["passalong_loader_rows_total"]
		c.until("a batch to be loaded", func() bool { return c.figures()["passalong_loader_rows_total"] > rows })
		c.settled()
	}
	stop()
	r.check()
	t.Logf("%d cuts, %d starts of the engine, %v retries, %v recounts", cuts, r.engine.Generation(),
		c.figures()["passalong_loader_retries_total"], c.figures()["passalong_loader_recounts_total"])
	c.stop()
}

// Every length at which a handshake can be torn, in either direction.
func TestAHandshakeIsCutAtEachByte(t *testing.T) {
	t.Parallel()
	r := newRemote(t, seed(t))
	c := r.serve().ready()
	step := at(t, 61, 7, 1)
	for k := 0; k < wholeHandshake; k += step {
		for _, answered := range []bool{false, true} {
			torn := false
			r.proxy.cutBy(func() (int, int) {
				switch {
				case torn: // one only, so that the pause is short
					return -1, -1
				case answered:
					torn = true
					return -1, k
				default:
					torn = true
					return k, -1
				}
			})
			r.proxy.drop()
			r.send(2, 1)
			c.until("the cut", func() bool { return r.proxy.met() > 0 })
			r.proxy.heal()
			c.settled() // so that the next pause is short again
		}
	}
	r.check()
	t.Logf("%d starts of the engine", r.engine.Generation())
	c.stop()
}
