package torture

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writing are the calls by which a process leaves something behind.
var writing = []string{"write", "pwrite64", "writev", "fsync", "fdatasync", "sync_file_range", "syncfs",
	"rename", "renameat", "renameat2", "unlink", "unlinkat", "ftruncate", "fallocate"}

// killingTime bounds the two tests that go from call to call, in `make torture`.
const killingTime = 3 * time.Minute

// The collector is killed at each write, fsync, rename and unlink of one cycle:
// beacons are accepted, spooled, answered, cut into a batch, loaded, marked, and
// released from the spool. Every time it is started again on what is there, and
// nothing is lost or doubled.
func TestCollectorKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	w.setup.binary = hasty(t)
	c := w.serve().ready()
	w.send(20, 4)
	w.check()

	follow := func() cycle {
		c.until("what is loaded is released", func() bool { return c.figures()["passalong_spool_bytes"] == 0 })
		path := namer(t, w.setup.dir, c.reader())
		return cycle{
			world: w, pid: c.pid(), names: writing, beacons: 4, connections: 1, rest: 1700 * time.Millisecond, limit: 15 * time.Second,
			name: func(call call) string {
				what := path(call.path)
				if strings.HasPrefix(call.path, "TCP:") {
					what = "to ClickHouse"
					if strings.Contains(call.path, c.address+"->") {
						what = "to a reader"
					}
				}
				if what == "" || strings.HasPrefix(what, "salts") {
					return "" // a timer, the log; or the salts' own housekeeping
				}
				return call.name + " " + what
			},
		}
	}
	places, _ := follow().run(nil, nil)
	t.Logf("a cycle is %d calls:\n%s", len(places), list(places))
	chosen := sample(t, n, places, at(t, 1, 1000, 1000), "unlinkat N.sst", "fdatasync N.log")
	r := chance(n, 3)
	r.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	killed := 0
	began := time.Now()
	for turn := range at(t, 1, 1, 5) {
		for _, p := range chosen {
			if depth(t) == short && time.Since(began) > killingTime {
				break // the next run begins elsewhere
			}
			pid := c.pid()
			if follow().until(p, func() { killProcess(pid) }) {
				killed++
			}
			if r.IntN(2) == 0 {
				c.killEngine() // else it goes by itself, and the next start waits for it
			}
			c.kill()
			c = w.serve()
			w.check()
			if t.Failed() {
				t.Fatalf("turn %d: after it was killed at %s", turn, p)
			}
		}
	}
	t.Logf("killed at %d calls, of %d in a cycle", killed, len(places))
	if killed < min(len(chosen), 20)/2 {
		t.Errorf("killed at %d calls of the %d that were chosen: one cycle is not like the other, so nothing is proven", killed, len(chosen))
	}
	c.stop()
}

func list(places []place) string {
	var b strings.Builder
	for _, p := range places {
		b.WriteString("  " + p.String() + "\n")
	}
	return b.String()
}

// hasty is the binary with one constant changed: it releases loaded events from
// the spool after a fifth of a second and not after a minute, so that a cycle
// ends while one watches.
func hasty(t testing.TB) string {
	t.Helper()
	source, err := filepath.Abs("../loader/loader.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const minute, moment = "set(&o.Keep, time.Minute)", "set(&o.Keep, 200*time.Millisecond)"
	if !strings.Contains(string(text), minute) {
		t.Fatalf("%s has no %q any more, which is shortened here", source, minute)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "loader.go"), filepath.Join(dir, "overlay.json")
	plan, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{changed: strings.Replace(string(text), minute, moment, 1), overlay: string(plan)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "passalong")
	if err := build(to, "..", "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return to
}
