package torture

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// ClickHouse is not there when the collector starts, and for long. Beacons are
// taken until the spool has reached its limit, then the answer is 503; /readyz,
// /metrics and the log say what is the matter. When the server appears, what
// waits is loaded in its order, and beacons are taken again, without a start.
func TestClickHouseAwayUntilTheSpoolIsFull(t *testing.T) {
	t.Parallel()
	server := enginetest.New(t, engine.Options{})
	door := closedDoor(t, server.DSN())
	w := newWorld(t, seed(t), "--clickhouse", door.dsn, "--spool-limit", "64MiB")
	w.crowd.bulk = 56 // a view brings a few of its own, and a beacon takes 64
	c := w.serve()
	if code, body, err := c.get("/readyz"); code != http.StatusOK {
		t.Errorf("beacons are taken, and /readyz says %d %s %v", code, body, err)
	}
	c.await("level=WARN", "clickhouse is not ready; beacons are taken, nothing is loaded yet")
	for w.ledger.count(http.StatusServiceUnavailable) == 0 {
		w.send(20, 4)
	}
	taken := w.ledger.count(http.StatusNoContent)
	if taken < 100 {
		t.Fatalf("%d beacons were taken before the first 503", taken)
	}
	w.crowd.bulk = 0
	for _, e := range w.ledger.entries {
		if e.status == http.StatusServiceUnavailable && !strings.Contains(e.said, "the spool is full") {
			t.Errorf("503 says %s", e.said)
		}
	}
	if code, body, err := c.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "spool is full: limit") {
		t.Errorf("the spool is full, and /readyz says %d %s %v", code, body, err)
	}
	figures := c.figures()
	for name, well := range map[string]func(v float64) bool{
		"passalong_spool_full":                    func(v float64) bool { return v == 1 },
		"passalong_spool_rows":                    func(v float64) bool { return v > 1000 },
		"passalong_spool_bytes":                   func(v float64) bool { return v > 60<<20 && v < 80<<20 },
		"passalong_spool_oldest_seconds":          func(v float64) bool { return v > 0 },
		`passalong_loader_state{state="waiting"}`: func(v float64) bool { return v == 1 },
		`passalong_beacons_total{answer="503"}`:   func(v float64) bool { return v > 0 },
	} {
		if v, there := figures[name]; !there || !well(v) {
			t.Errorf("the spool is full, and /metrics says %s %v", name, v)
		}
	}
	c.await("level=WARN", "spool is full", "reason=limit")

	door.open()
	c.ready()
	// Rows are numbered in the order in which they were taken, so that at every
	// moment those in the table are the first ones.
	conn := dial(t, server.DSN())
	looks := 0
	c.until("everything is loaded", func() bool {
		var rows, last uint64
		if err := conn.QueryRow(context.Background(), "SELECT count(), max(row) FROM passalong.events").Scan(&rows, &last); err != nil {
			t.Fatal(err)
		}
		if rows > 0 && rows != last+1 {
			t.Errorf("%d rows are there, and row %d is", rows, last)
		}
		looks++
		return c.figures()["passalong_spool_rows"] == 0
	})
	t.Logf("looked %d times while it drained", looks)
	c.flush()
	w.ledger.check(t, conn)
	// The limit bounds what is stored, loaded or not, and loaded events stay for a
	// minute; so this takes a while.
	if depth(t) > quick {
		c.until("beacons are taken again", func() bool {
			w.send(5, 1) // some of them are answered 204 and not kept, also while it is full
			return c.log.count("spool takes events again") > 0 && w.ledger.count(http.StatusNoContent) > taken+5
		})
		c.flush()
		w.ledger.check(t, conn)
	}
	c.stop()
}

// A door is an address at which a server appears later.
type door struct {
	testing.TB
	dsn, address, server string
}

// closedDoor is one that nobody answers at.
func closedDoor(t testing.TB, dsn string) *door {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{TB: t, server: u.Host, address: l.Addr().String()}
	l.Close()
	u.Host = d.address
	d.dsn = u.String()
	return d
}

func (d *door) open() {
	d.Helper()
	l, err := net.Listen("tcp", d.address)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.DialTimeout("tcp", d.server, 5*time.Second)
			if err != nil {
				from.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
				go func() {
					io.Copy(way[0], way[1])
					way[0].Close()
					way[1].Close()
				}()
			}
		}
	}()
}
