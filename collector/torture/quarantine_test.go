package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// lines makes import lines of the crowd's next good beacons, with so many
// events together, and writes them into the ledger as taken. One is left out of
// it: a view on its own, whose row is to be refused.
func (w *world) lines(events int) (path string, refused *beacon) {
	w.Helper()
	var text bytes.Buffer
	for n := 0; n < events; {
		b := w.crowd.next()
		if b.refuse != 0 || b.signal == "DNT" {
			continue
		}
		line := map[string]any{
			"time": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "ip": b.address, "agent": b.agent,
			"gpc": b.signal != "", "beacon": json.RawMessage(b.body),
		}
		l, err := json.Marshal(line)
		if err != nil {
			w.Fatal(err)
		}
		text.Write(append(l, '\n'))
		n += len(b.events)
		if refused == nil && n > events/3 && len(b.events) == 1 && b.events[0].kind == "view" && len(b.born) == 1 && b.site == "news.example" {
			refused = b
			continue
		}
		w.ledger.add(b, answer{sent: true, status: 204})
	}
	path = filepath.Join(w.TempDir(), "lines.ndjson")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		w.Fatal(err)
	}
	return path, refused
}

// exec runs a statement on the server itself.
func (r *remote) exec(statement string, args ...any) {
	r.Helper()
	conn := dial(r, r.engine.DSN())
	defer conn.Close()
	if err := conn.Exec(r.Context(), statement, args...); err != nil {
		r.Fatalf("%s: %v", statement, err)
	}
}

// One row among many is one that ClickHouse refuses: it alone goes to
// quarantine, and no node is left of it.
func TestOneRefusedRowAmongFiftyThousand(t *testing.T) {
	t.Parallel()
	r := newRemote(t, seed(t), "--flush-interval", "10s")
	c := r.serve().ready()
	path, refused := r.lines(at(t, 6_000, 50_000, 50_000))
	r.exec("ALTER TABLE passalong.events ADD CONSTRAINT not_this CHECK title != $1", fmt.Sprint(refused.serial))
	c.run("import", path)
	names := r.quarantined()
	if len(names) != 1 {
		t.Fatalf("%d rows are in quarantine, want the one that is refused: %v", len(names), names)
	}
	content, err := os.ReadFile(filepath.Join(r.setup.dir, "quarantine", names[0]))
	if err != nil || !bytes.Contains(content, []byte(refused.events[0].view)) {
		t.Errorf("the row in quarantine is not the refused one (%v)", err)
	}
	r.ledger.check(t, dial(t, r.engine.DSN()))
	if n := c.log.count("rows are in quarantine", "rows=1"); n != 1 {
		t.Errorf("the log says so %d times, want once", n)
	}
	if n := c.figures()["passalong_loader_quarantined_rows"]; n != 1 {
		t.Errorf("passalong_loader_quarantined_rows is %v, want 1", n)
	}
	// The recount of the next start expects the others only.
	c.stop()
	c = r.serve().ready()
	c.flush()
	r.ledger.check(t, dial(t, r.engine.DSN()))
	if n := c.figures()["passalong_loader_quarantined_rows"]; n != 1 {
		t.Errorf("after a start passalong_loader_quarantined_rows is %v, want 1", n)
	}
	c.stop()
}

// A server that refuses every row has no row to blame: nothing is set aside
// beyond a few, loading waits and says so, and goes on when the server is mended.
func TestARefusalOfEveryRowIsTheServers(t *testing.T) {
	t.Parallel()
	for _, many := range []bool{true, false} {
		t.Run(map[bool]string{true: "in one batch", false: "in many small ones"}[many], func(t *testing.T) {
			settings := []string{"--flush-interval", "2s"}
			if !many {
				settings = []string{"--flush-rows", "8"}
			}
			r := newRemote(t, seed(t), settings...)
			c := r.serve().ready()
			r.send(20, 1)
			c.flush()
			r.exec("ALTER TABLE passalong.events ADD CONSTRAINT nothing CHECK site = 'nobody'")
			r.send(400, 8)
			c.until("loading waits", func() bool { return c.log.count("loading waits") > 0 || len(r.quarantined()) > 100 })
			if n := len(r.quarantined()); n > 100 {
				t.Fatalf("%d rows are in quarantine although ClickHouse refuses every row", n)
			}
			if got := c.state(); got != "waiting" {
				t.Errorf("the loader is %q, want waiting", got)
			}
			t.Logf("%s", c.await("loading waits"))
			r.exec("ALTER TABLE passalong.events DROP CONSTRAINT nothing")
			if many {
				r.check()
				c.stop()
				return
			}
			// The first few looked like rows that are bad; all the others are in.
			c.flush()
			aside := uint64(len(r.quarantined()))
			var rows uint64
			if err := dial(r, r.engine.DSN()).QueryRow(t.Context(), "SELECT count() FROM passalong.events").Scan(&rows); err != nil {
				t.Fatal(err)
			}
			if want := r.ledger.events(); rows+aside != want {
				t.Errorf("%d rows are stored and %d in quarantine, want %d together", rows, aside, want)
			}
			c.stop()
		})
	}
}

// events is how many events were taken and are to be kept.
func (l *ledger) events() (n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.entries {
		if v, _ := l.entries[i].verdict(); v == once {
			n += uint64(len(l.entries[i].beacon.events))
		}
	}
	return n
}

// run runs a command of the same binary on the collector's data directory, and
// fails the test when it fails.
func (c *collector) run(command string, args ...string) (out string) {
	c.Helper()
	out, err := runCommand(c.TB, c.setup, command, args...)
	if err != nil {
		c.Fatalf("%s %s: %v\n%s\n%s", command, strings.Join(args, " "), err, out, c.log.tail(40))
	}
	return out
}
