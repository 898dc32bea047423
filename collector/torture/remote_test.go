package torture

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// A remote is a world whose ClickHouse is a server elsewhere, with a proxy on
// the way to it.
type remote struct {
	*world
	engine *engine.Engine
	proxy  *proxy
}

func newRemote(t testing.TB, seed uint64, settings ...string) *remote {
	t.Helper()
	e := enginetest.New(t, engine.Options{})
	p := newProxy(t, e.DSN())
	return &remote{newWorld(t, seed, append([]string{"--clickhouse", p.dsn}, settings...)...), e, p}
}

// check is the oracle, past the proxy. No row may have been set aside for what
// a server or the way to it did.
func (r *remote) check() {
	r.Helper()
	c := r.now.Load()
	c.flush()
	r.ledger.check(r, dial(r, r.engine.DSN()))
	if names := r.quarantined(); len(names) > 0 {
		r.Errorf("%d rows are in quarantine: %v", len(names), names)
	}
}

// quarantined lists what is in quarantine.
func (w *world) quarantined() (names []string) {
	w.Helper()
	entries, err := os.ReadDir(filepath.Join(w.setup.dir, "quarantine"))
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// state is what the loader does, as /metrics says it.
func (c *collector) state() string {
	c.Helper()
	for name, value := range c.figures() {
		if rest, ok := strings.CutPrefix(name, `passalong_loader_state{state="`); ok && value == 1 {
			return strings.TrimSuffix(rest, `"}`)
		}
	}
	return "none"
}

// takes says that a statement inserts into a table.
func takes(s statement, table string) bool {
	return strings.HasPrefix(s.text, "INSERT INTO "+table+" ")
}

// settled waits until nothing holds the loader up.
func (c *collector) settled() {
	c.Helper()
	c.until("loading to go on", func() bool { return c.state() != "waiting" })
}
