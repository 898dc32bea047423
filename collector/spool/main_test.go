package spool

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/passalong/passalong/collector/event"
)

// Some tests need a process of their own: this binary, run again with the name
// of what it shall do.
const (
	childName  = "SPOOL_TEST_CHILD"
	childDir   = "SPOOL_TEST_DIR"
	childOrder = "SPOOL_TEST_ORDER"
)

var children = map[string]func(dir string){
	"append":   appendUntilKilled,
	"manifest": breakManifest,
	"faults":   tryFaults,
	"start":    startAndSay,

	"unwritable": openUnwritable,
}

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), childName+"="+name, childDir+"="+dir)
	return c
}

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childName)]; child != nil {
		child(os.Getenv(childDir))
		os.Exit(0)
	}
	flag.Parse()
	if os.Getenv("TORTURE") == "" && !isSet("rapid.checks") {
		_ = flag.Set("rapid.checks", "30") // about 900 steps: seconds, also with the race detector
	}
	goleak.VerifyTestMain(m,
		// Pebble 2.1 leaves its scheduler's ticker behind when Open fails late, as on a
		// disk that cannot be written; our process ends then.
		goleak.IgnoreAnyFunction("github.com/cockroachdb/pebble/v2.(*ConcurrencyLimitScheduler).periodicGranter"))
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// memory is a file system in memory with the spool's parent on it.
func memory(t testing.TB) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("/data", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syncDir(fs, "/"); err != nil {
		t.Fatal(err)
	}
	return fs
}

func in(fs FS) Options { return Options{Dir: "/data/spool", FS: fs, Version: "1.0.0"} }

func open(t testing.TB, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && s.Err() == nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func mustClose(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// beacon makes the events of one beacon, told apart by name and item.
func beacon(name string, n int) []*event.Event {
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = &event.Event{
			Site: "news.example", Type: "view", Item: uint32(i), View: name,
			Time: 1790000000000, Received: 1790000000000 + int64(i),
			Page: "https://news.example/politics/2026/a-long-night-in-the-senate",
		}
	}
	return events
}

// name is how a test tells an event: "beacon/item".
func name(e *event.Event) string { return fmt.Sprintf("%s/%d", e.View, e.Item) }

func names(events []*event.Event) string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = name(e)
	}
	return strings.Join(all, " ")
}

func mustAppend(t testing.TB, s *Spool, name string, n int) {
	t.Helper()
	if err := s.Append(t.Context(), beacon(name, n)); err != nil {
		t.Fatalf("append %s: %v", name, err)
	}
}

func mustNext(t testing.TB, s *Spool, maxRows int) *Batch {
	t.Helper()
	b, err := s.Next(soon(t), maxRows, 0)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return b
}

// must takes the error of a step that may not fail.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rest reads everything from the mark on, without cutting.
func rest(t testing.TB, s *Spool) []*event.Event {
	t.Helper()
	st := s.Stats()
	b, err := s.Read(Range{st.Mark, st.NextRow})
	if err != nil {
		t.Fatal(err)
	}
	return events(t, b)
}

// events reads a batch into memory of its own.
func events(t interface{ Fatal(...any) }, b *Batch) (all []*event.Event) {
	err := b.Walk(3, func(_ uint64, run []event.Event) error {
		for i := range run {
			all = append(all, proto.CloneOf(&run[i]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// decode reads rows of a group, as Walk does.
func (g group) decode(from, to uint64) (all []*event.Event, err error) {
	err = g.frames(from, to, func(row uint64, frame []byte) error {
		e := new(event.Event)
		all = append(all, e)
		if err := e.UnmarshalVT(frame); err != nil {
			return damagef("row %d: %v", row, err)
		}
		return nil
	})
	return all, err
}

// soon is a context for what must not take long; only a hang meets its end.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// journal collects what is logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// full is a page view as a real site sends it.
func full() *event.Event {
	seq := uint32(0)
	return &event.Event{
		Site: "news.example", Type: "view", Time: 1790000000000, Received: 1790000000123, Day: 20717, Seq: &seq,
		Privacy: "full", View: "0Kd3hP9aQzT", Via: "0Kd2kM1bYx7", Visitor: "9f86d081884c7d65", Network: 0x2c26b46b68ffc68f,
		Page:  "https://news.example/politics/2026/a-long-night-in-the-senate",
		Title: "A long night in the Senate", Author: "Marie Dupont", Section: "Politics", Published: 1789990000000,
		Language: "fr-FR", Zone: "Europe/Paris", Width: 390, Hash: "written",
		Referrer: "https://l.facebook.com/", ReferrerKind: "social", ReferrerChannel: "facebook", App: "facebook",
		Country: "FR", Device: "phone", Os: "iOS", Browser: "Safari", BrowserMajor: 19,
		UtmSource: "newsletter", UtmMedium: "email", UtmCampaign: "evening",
	}
}
