package loader

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/erase"
	"github.com/passalong/passalong/collector/event"
)

const site = "news.example"

// now makes an event as if it was just received: orders are about that.
func now(e *event.Event) *event.Event {
	e.Received = time.Now().UnixMilli()
	return e
}

// erase is what the command does beside this collector.
func (c *collector) erase(s erase.Subject) erase.Result {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := erase.Run(ctx, erase.Options{Conn: c.conn, Subject: s, Flush: c.Flush, Close: c.Drain})
	if err != nil {
		c.Fatalf("erase: %v", err)
	}
	return r
}

// tokens lists the nodes there are.
func (w *world) tokens() (tokens []string) {
	w.Helper()
	for k := range w.stored() {
		tokens = append(tokens, k.Token)
	}
	slices.Sort(tokens)
	return tokens
}

func (w *world) wantTokens(want ...string) {
	w.Helper()
	if got := w.tokens(); !slices.Equal(got, want) {
		w.Errorf("nodes %v, want %v", got, want)
	}
}

func (w *world) wantRows(want uint64) {
	w.Helper()
	if got := w.number("SELECT count() FROM passalong.events"); got != want {
		w.Errorf("%d rows in events, want %d", got, want)
	}
}

// quoted is a copied passage, which goes to the texts.
func quoted(token, visitor string, minute int) *event.Event {
	e := viewEvent("copy", token, visitor, minute)
	e.What, e.Quote = "text", "a passage"
	return e
}

// family is ann ─ bob ─ cyd ─ dan, with a share of bob's by which eve came.
func family() [][]*event.Event {
	return [][]*event.Event{
		{view("ann", "", "v-ann", 0)},
		{view("bob", "ann", "v-bob", 1), quoted("bob", "v-bob", 2)},
		{share("sbob", "bob", "v-bob", 2)},
		{view("cyd", "bob", "v-cyd", 3)},
		{view("dan", "cyd", "v-dan", 4)},
		{view("eve", "sbob", "v-eve", 5)},
	}
}

// A spool that is put back, as after a crash, is counted under the orders: the
// erased rows do not come back, and all others are there once.
func TestARecountDoesNotBringErasedRowsBack(t *testing.T) {
	// Who has no node and no text is kept away by the counting alone.
	for name, subject := range map[string]erase.Subject{
		"a visitor":                {Site: site, Visitor: "v-bob"},
		"a visitor without a view": {Site: site, Visitor: "v-guest"},
		"a token":                  {Site: site, Token: "bob"},
	} {
		for _, damage := range []string{"", "TRUNCATE TABLE passalong.events", "TRUNCATE TABLE passalong.lineage"} {
			t.Run(name+" "+damage, func(t *testing.T) {
				w := newWorld(t)
				o := w.options(openSpool(t, ""))
				o.Keep = time.Hour
				c := w.start(o)
				c.load(append(family(), []*event.Event{viewEvent("engage", "ann", "v-guest", 6)})...)
				w.exact(8)
				c.stop()
				rows, texts, tokens := uint64(5), uint64(0), []string{"ann", "cyd", "dan", "eve"}
				if subject.Visitor == "v-guest" {
					rows, texts, tokens = 7, 1, []string{"ann", "bob", "cyd", "dan", "eve", "sbob"}
				}

				// Without this collector: its spool keeps what was loaded.
				if _, err := erase.Run(t.Context(), erase.Options{Conn: w.conn, Subject: subject}); err != nil {
					t.Fatal(err)
				}
				w.wantRows(rows)
				w.wantTokens(tokens...)
				if damage != "" {
					w.exec(damage)
				}
				c = w.start(o)
				c.flush()
				w.wantRows(rows)
				w.wantTokens(tokens...)
				if n := w.number("SELECT count() FROM passalong_private.texts FINAL"); n != texts {
					t.Errorf("%d texts, want %d", n, texts)
				}
				if c.Stats().Recounts == 0 {
					t.Error("nothing was counted: this run shows nothing")
				}
			})
		}
	}
}

// What waits in the spool of a collector that is away when the order is
// written is left out when it comes; what the reader sends after it is stored.
func TestAnOrderHoldsForWhatWasReceivedBeforeIt(t *testing.T) {
	w := newWorld(t)
	s := openSpool(t, "")
	c := &collector{world: w, spool: s}
	// The consent comes late and in the same batch; the address changes.
	consent := now(viewEvent("engage", "bob", "member", 3))
	consent.Consented = true
	c.append(now(view("ann", "", "v-ann", 0)), now(view("bob", "ann", "v-bob", 1)), now(viewEvent("engage", "bob", "v-else", 2)), consent)
	c.append(now(view("cyd", "bob", "v-cyd", 4)))
	r, err := erase.Run(t.Context(), erase.Options{Conn: w.conn, Subject: erase.Subject{Site: site, Visitor: "member"}})
	if err != nil || r.Found() {
		t.Fatalf("%+v %v", r, err)
	}
	time.Sleep(2 * time.Millisecond) // the clock's next millisecond
	again := now(view("dan", "cyd", "member", 5))
	again.Consented = true
	c.append(again)
	c = w.start(w.options(s))
	c.flush()
	w.wantRows(3) // ann, cyd, dan
	w.wantTokens("ann", "cyd", "dan")
	// Bob is unknown to cyd, as anybody who was never seen.
	if n := w.node("cyd"); n.Origin != "bob" || n.Depth != 1 || !n.Pending {
		t.Errorf("cyd: %+v", n)
	}
	// Another site's visitor of the same name is somebody else.
	other := now(view("ann", "", "member", 0))
	other.Site = "shop.example"
	c.load([]*event.Event{other})
	w.wantRows(4)
}

// A view of which rows are stored, and whose consent only now comes to light at
// another collector, goes whole.
func TestAConsentThatComesAfterTheOrderTakesItsViewAlong(t *testing.T) {
	w := newWorld(t)
	a := w.start(w.options(openSpool(t, "")))
	a.load([]*event.Event{now(view("bob", "", "v-bob", 1)), now(view("cyd", "bob", "v-cyd", 2))})
	s := openSpool(t, "")
	b := &collector{world: w, spool: s}
	consent := now(viewEvent("engage", "bob", "member", 3))
	consent.Consented = true
	b.append(consent)
	a.erase(erase.Subject{Site: site, Visitor: "member"})
	w.wantRows(2)
	b = w.start(w.options(s))
	b.flush()
	w.wantRows(1)
	w.wantTokens("cyd")
}

// An order that is written between the reading of the orders and the insert is
// found by the look that comes after it.
func TestAnOrderInMidAttemptIsObeyed(t *testing.T) {
	w := newWorld(t)
	s := openSpool(t, "")
	c := &collector{world: w, spool: s}
	c.append(now(view("ann", "", "v-ann", 0)), now(viewEvent("engage", "ann", "v-guest", 1)), now(view("bob", "ann", "v-bob", 1)), now(quoted("bob", "v-bob", 1)))
	o := w.options(s)
	o.DB = &gatedDB{Database: w, seen: map[string]bool{}, before: func(query string) {
		who := map[string]string{eventsInsert: "v-guest", textsInsert: "v-bob"}[query]
		if who == "" {
			return
		}
		if _, err := erase.Run(context.Background(), erase.Options{Conn: w.conn, Subject: erase.Subject{Site: site, Visitor: who}}); err != nil {
			t.Errorf("erase %s: %v", who, err)
		}
	}}
	c = w.start(o)
	c.flush()
	// Bob's rows were stored before his order, which deleted them.
	w.wantRows(1)
	w.wantTokens("ann")
	if n := w.number("SELECT count() FROM passalong_private.texts"); n != 0 {
		t.Errorf("%d texts", n)
	}
}

// What hung below an erased view keeps origin and depth, also when its tree is
// decided anew; what comes by the erased token later starts from there.
func TestWhatHungBelowKeepsOriginAndDepth(t *testing.T) {
	w := newWorld(t)
	c := w.start(w.options(openSpool(t, "")))
	c.load(family()...)
	before := w.stored()
	if r := c.erase(erase.Subject{Site: site, Token: "bob"}); r.Events != 3 || r.Nodes != 2 || r.Texts != 1 {
		t.Errorf("%+v, want bob's view, copy and share, two nodes and a text", r)
	}
	same := func(tokens ...string) {
		t.Helper()
		after := w.stored()
		for k, n := range after {
			old, known := before[k]
			if slices.Contains(tokens, k.Token) && (!known || n.Origin != old.Origin || n.Depth != old.Depth || n.Parent != old.Parent) {
				t.Errorf("%s: %+v\nwas %+v", k.Token, n, old)
			}
		}
	}
	w.wantTokens("ann", "cyd", "dan", "eve")
	same("ann", "cyd", "dan", "eve")

	// A new reader comes by the erased token: an unknown parent like any other.
	c.load([]*event.Event{view("fay", "bob", "v-fay", 9)})
	if n := w.node("fay"); n.Origin != "bob" || n.Depth != 1 || !n.Pending {
		t.Errorf("fay: %+v", n)
	}
	// The tree is decided anew: an earlier birth of cyd's child comes to light.
	earlier := view("dan", "cyd", "v-dan", 4)
	earlier.Received -= 1000
	c.load([]*event.Event{earlier})
	same("ann", "cyd", "dan", "eve")
	// And ann consents late, so that her whole tree is looked at.
	consent := viewEvent("engage", "ann", "member-ann", 30)
	consent.Consented = true
	c.load([]*event.Event{consent})
	same("ann", "cyd", "dan", "eve")
	c.stop()
	c = w.start(w.options(c.spool)) // the whole table is looked through
	c.flush()
	same("ann", "cyd", "dan", "eve")
	w.wantTokens("ann", "cyd", "dan", "eve", "fay")
}

// At level strict a token is a cohort's: one reader goes, the others stay.
func TestACohortStaysForItsOtherReaders(t *testing.T) {
	w := newWorld(t)
	c := w.start(w.options(openSpool(t, "")))
	cohort := func(token, visitor string, minute int) *event.Event {
		e := view(token, "", visitor, minute)
		e.Privacy = "strict"
		return e
	}
	c.load([]*event.Event{cohort("two", "v-ann", 0)}, []*event.Event{cohort("two", "v-bob", 1)}, []*event.Event{cohort("one", "v-ann", 2)})
	if r := c.erase(erase.Subject{Site: site, Visitor: "v-ann"}); r.Events != 2 || r.Nodes != 1 || r.Blank != 1 {
		t.Errorf("%+v", r)
	}
	w.wantRows(1)
	w.wantTokens("two")
	if n := w.node("two"); n.Visitor != "" || n.Network != 0 {
		t.Errorf("%+v", n)
	}
	if r := c.erase(erase.Subject{Site: site, Visitor: "v-ann"}); r.Found() {
		t.Errorf("again: %+v", r)
	}
}

// After a drain the spool has none of what was appended before, on disk too;
// the quarantine has none of what is erased.
func TestErasedRowsAreInNoFileOfTheSpool(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	o := w.options(openSpool(t, filepath.Join(dir, "spool")))
	o.Keep, o.Quarantine = time.Hour, filepath.Join(dir, "quarantine")
	o.Sync = func() error { return nil }
	c := w.start(o)
	const who = "visitor-to-be-forgotten"
	refused := now(view("bob", "", who, 1))
	w.exec("ALTER TABLE passalong.events ADD CONSTRAINT no_bob CHECK view != 'bob'")
	t.Cleanup(func() { w.exec("ALTER TABLE passalong.events DROP CONSTRAINT no_bob") })
	c.load([]*event.Event{now(view("ann", "", who, 0)), refused}, []*event.Event{now(view("cyd", "", "v-cyd", 0))})
	if c.Stats().Quarantined != 1 || len(filesWith(t, dir, who)) < 2 {
		t.Fatalf("%d rows in quarantine, the visitor is in %v: this test looks in the wrong place", c.Stats().Quarantined, filesWith(t, dir, who))
	}
	c.erase(erase.Subject{Site: site, Visitor: who})
	until(t, "the visitor to be in no file", func() bool { return len(filesWith(t, dir, who)) == 0 })
	w.wantRows(1)
	if n := len(c.spool.Loaded()); n != 0 {
		t.Errorf("%d batches are still kept", n)
	}
}

// filesWith says which files of a directory hold a text.
func filesWith(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "ballast" {
			if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) {
				files = append(files, path)
			}
		}
		return nil
	})
	return files
}

// What the retention has dropped does not come back by a recount, and what is
// too old is not loaded.
func TestDroppedMonthsAreNotLoadedAgain(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	o.Keep = time.Hour
	oldest := time.Time{}
	o.Retention = func() time.Time { return oldest }
	c := w.start(o)
	old := view("old", "", "v-old", -60*24*40)
	c.load([]*event.Event{old, view("new", "old", "v-new", 0)})
	w.exact(2)
	c.stop()
	oldest = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	w.exec("ALTER TABLE passalong.events DROP PARTITION '202608'")
	w.exec("ALTER TABLE passalong.lineage DELETE WHERE token = 'old' SETTINGS mutations_sync = 2")
	c = w.start(o)
	c.load([]*event.Event{view("old too", "", "v-old", -60*24*40)})
	w.wantRows(1)
	w.wantTokens("new")
	if n := w.node("new"); n.Origin != "old" || n.Depth != 1 {
		t.Errorf("%+v", n)
	}
}

func TestTallyIsClickHouses(t *testing.T) {
	w := newWorld(t)
	rows := []uint64{0, 1, 7, 1 << 40, 1<<64 - 1}
	var got tally
	if err := w.conn.QueryRow(t.Context(), "SELECT count(), uniqExact(row), sum(intHash64(row)) FROM (SELECT arrayJoin($1) :: UInt64 AS row)", rows).
		Scan(&got.rows, &got.distinct, &got.sum); err != nil {
		t.Fatal(err)
	}
	if want := tallyOf(rows); got != want {
		t.Errorf("ClickHouse says %+v, tallyOf %+v", got, want)
	}
}
