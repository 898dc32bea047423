package loader

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/event"
)

func one(e *event.Event) []*event.Event { return []*event.Event{e} }

func TestThreeReadersHandOneArticleOn(t *testing.T) {
	w := newWorld(t)
	c := w.start(w.options(openSpool(t, "")))
	c.load(one(view("ann", "", "ann", 0)))
	c.load(one(view("bob", "ann", "bob", 5)))
	c.load([]*event.Event{view("cyd", "bob", "cyd", 9), share("cyd-wa", "cyd", "cyd", 10)}, one(view("dan", "cyd-wa", "dan", 11)), one(view("bob2", "bob", "bob", 30)))
	w.exact(6)
	if got := c.Stats().Recounts; got != 0 {
		t.Errorf("%d batches were counted, and nothing had happened", got)
	}
	for _, want := range []struct {
		token, parent string
		depth         uint32
		isReturn      bool
	}{
		{"ann", "", 0, false},
		{"bob", "ann", 1, false},
		{"cyd", "bob", 2, false},
		{"cyd-wa", "cyd", 2, false},
		{"dan", "cyd-wa", 3, false},
		{"bob2", "bob", 1, true},
	} {
		n := w.node(want.token)
		if n.Parent != want.parent || n.Depth != want.depth || n.Return != want.isReturn || n.Origin != "ann" {
			t.Errorf("%s: parent %q depth %d return %t origin %q, want %+v of ann", want.token, n.Parent, n.Depth, n.Return, n.Origin, want)
		}
	}
}

func TestALateParentIsRepairedInItsBatch(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	o.SweepInterval = time.Hour
	c := w.start(o)
	c.load(one(view("cyd", "bob", "cyd", 9)), one(view("dan", "cyd", "dan", 12)))
	if n := w.node("cyd"); !n.Pending || n.Origin != "bob" || n.Depth != 1 {
		t.Fatalf("before its parent is born: %+v", n)
	}
	if a := c.Stats().Awaited; a != 1 {
		t.Errorf("%d tokens awaited, want 1", a)
	}
	c.load(one(view("ann", "", "ann", 0)), one(view("bob", "ann", "bob", 5)))
	w.exact(4)
	if n := w.node("dan"); n.Origin != "ann" || n.Depth != 3 {
		t.Errorf("below the late parent: %+v", n)
	}
	if s := c.Stats(); s.Repaired != 0 || s.Awaited != 0 {
		t.Errorf("left to the sweep: %+v", s)
	}
}

// A reader consents late on one view or on both, in whatever order the beacons
// come: she is no new reader.
func TestAReaderWhoConsentsLateIsTheSame(t *testing.T) {
	consented := func(e *event.Event) []*event.Event {
		e.Visitor, e.Consented, e.Seq = "member-7", true, new(uint32(1))
		return one(e)
	}
	first := func() []*event.Event { return one(view("phone", "", "hash-1", 0)) }
	late := func() []*event.Event { return consented(viewEvent("engage", "phone", "", 2)) }
	second := func() []*event.Event { return consented(view("desk", "phone", "", 9)) }
	plain := func() []*event.Event { return one(view("desk", "phone", "hash-2", 9)) }
	mirror := func() []*event.Event { return consented(viewEvent("copy", "desk", "", 10)) }
	friend := func() []*event.Event { return one(view("friend", "desk", "hash-3", 12)) }
	strict := consented(viewEvent("engage", "phone", "", 2))
	strict[0].Privacy = "strict"
	bot := consented(viewEvent("engage", "phone", "", 2))
	bot[0].Bot = true
	for _, c := range []struct {
		name     string
		batches  [][]*event.Event
		isReturn bool
	}{
		{"the parent late", [][]*event.Event{first(), late(), second(), friend()}, true},
		{"the parent after its child", [][]*event.Event{first(), second(), friend(), late()}, true},
		{"both late", [][]*event.Event{first(), late(), plain(), friend(), mirror()}, true},
		{"the child before its parent", [][]*event.Event{first(), plain(), friend(), mirror(), late()}, true},
		{"consent before its view", [][]*event.Event{late(), first(), mirror(), plain(), friend()}, true},
		{"consent before everything, views last", [][]*event.Event{late(), mirror(), friend(), plain(), first()}, true},
		{"all at once", [][]*event.Event{slices.Concat(mirror(), friend(), plain(), late(), first())}, true},
		{"twice", [][]*event.Event{first(), late(), late(), second(), second(), friend(), late()}, true},
		{"the child alone", [][]*event.Event{first(), second(), friend()}, false},
		{"a strict site's", [][]*event.Event{first(), strict, second(), friend()}, false},
		{"a bot's", [][]*event.Event{first(), bot, second(), friend()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.options(openSpool(t, ""))
			o.SweepInterval = time.Hour
			l := w.start(o)
			rows := 0
			for i, b := range c.batches {
				if i == 2 { // what is known is known after a start too
					l.stop()
					l = w.start(o)
				}
				l.load(b)
				rows += len(b)
			}
			w.exact(rows)
			depth, want := w.node("friend").Depth, uint32(2)
			if c.isReturn {
				want = 1
			}
			if n := w.node("desk"); n.Return != c.isReturn || depth != want || n.Visitor != "member-7" {
				t.Errorf("return %t as %q, a friend at depth %d; want return %t", n.Return, n.Visitor, depth, c.isReturn)
			}
		})
	}
}

// The view is born at one collector, its reader consents at another.
func TestConsentAtAnotherCollector(t *testing.T) {
	w := newWorld(t)
	var cs [2]*collector
	for i := range cs {
		cs[i] = w.start(w.options(openSpool(t, "")))
	}
	late := viewEvent("engage", "phone", "member-7", 2)
	late.Consented = true
	desk := view("desk", "phone", "member-7", 9)
	desk.Consented = true
	cs[1].load(one(late))
	cs[0].load(one(view("phone", "", "hash-1", 0)))
	cs[0].load(one(desk))
	cs[1].flush()
	w.exact(3)
	if n := w.node("desk"); !n.Return {
		t.Errorf("a new reader: %+v", n)
	}
}

func TestWhatWaitsIsKnownAfterAStart(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	s := openSpool(t, dir)
	c := w.start(w.options(s))
	c.load(one(view("cyd", "bob", "cyd", 9)))
	c.stop()
	o := w.options(s)
	o.SweepInterval = time.Hour
	c = w.start(o)
	c.load(one(view("bob", "", "bob", 5)))
	w.exact(2)
	if r := c.Stats().Repaired; r != 0 {
		t.Errorf("the sweep had to repair %d nodes", r)
	}
}

func TestABatchOfTwoMonthsIsTwoParts(t *testing.T) {
	w := newWorld(t)
	s := openSpool(t, "")
	late, early := view("bob", "ann", "bob", 1), view("ann", "", "ann", 0)
	early.Time = time.Date(2026, 9, 30, 23, 59, 59, 999e6, time.UTC).UnixMilli()
	late.Time = time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	again := view("cyd", "bob", "cyd", 1)
	again.Time = early.Time
	c := &collector{world: w, spool: s}
	c.append(late, early, again)
	c = w.start(w.options(s))
	c.flush()
	w.exact(3)
	if got := w.number("SELECT uniqExact(batch) FROM passalong.events"); got != 2 {
		t.Errorf("%d parts, want 2", got)
	}
	for _, want := range []struct {
		label string
		rows  uint64
	}{{s.ID() + ".0.202609", 2}, {s.ID() + ".0.202610", 1}} {
		if got := w.number("SELECT count() FROM passalong.events WHERE batch = $1", want.label); got != want.rows {
			t.Errorf("%d rows of the part of %s, want %d", got, want.label[len(want.label)-6:], want.rows)
		}
	}
}

// Every column arrives: an event with a value in each field comes back so.
func TestEveryFieldArrives(t *testing.T) {
	w := newWorld(t)
	c := w.start(w.options(openSpool(t, "")))
	seq := uint32(3)
	at := noon.UnixMilli()
	e := &event.Event{
		Site: "news.example", Type: "view", Time: at, Received: at + 1, Day: 20_000, Item: 63, Seq: &seq, Privacy: "strict", Generation: 9,
		View: "view", Via: "via", Returned: true, Visitor: "visitor", Consented: true, Network: 1 << 63, Bot: true,
		Page: "page", Title: "titre à part", Canonical: "canonical", Author: "author", Section: "section", Published: at + 2,
		Language: "fr", Zone: "Europe/Paris", Width: 390, Hash: "written", Referrer: "referrer", ReferrerKind: "social",
		ReferrerChannel: "twitter", App: "telegram", PackageChannel: "signal", Country: "FR", Region: "IDF", Device: "phone",
		Os: "iOS", Browser: "Safari", BrowserMajor: 18, UtmSource: "us", UtmMedium: "um", UtmCampaign: "uc", UtmTerm: "ut",
		UtmContent: "uo", Clickid: "gclid", What: "text", Chars: 10, Words: 2, Token: "token", Channel: "sms", Outcome: "done",
		Visible: 1 << 40, Scroll: 100, Name: "buy", Value: 123456789, Currency: "EUR", Order: "o-1", Answer: "person", Mood: -1,
		Campaign: "campaign", Label: "label", Kind: "chat", Side: "server",
	}
	bare := &event.Event{Site: "news.example", Type: "engage", Time: at, Received: at, View: "view"}
	c.load([]*event.Event{e, bare})
	if got := w.number(`SELECT count() FROM passalong.events WHERE site = 'news.example' AND type = 'view' AND toUnixTimestamp64Milli(time) = $1
		AND toUnixTimestamp64Milli(received) = $1 + 1 AND day = toDate(20000) AND row = 0 AND item = 63 AND seq = 3 AND privacy = 'strict'
		AND generation = 9 AND view = 'view' AND via = 'via' AND return = 1 AND visitor = 'visitor' AND consented = 1
		AND network = 9223372036854775808 AND bot = 1 AND page = 'page' AND title = 'titre à part' AND canonical = 'canonical'
		AND author = 'author' AND section = 'section' AND toUnixTimestamp64Milli(assumeNotNull(published)) = $1 + 2 AND language = 'fr'
		AND zone = 'Europe/Paris' AND width = 390 AND hash = 'written' AND referrer = 'referrer' AND referrer_kind = 'social'
		AND referrer_channel = 'twitter' AND app = 'telegram' AND package_channel = 'signal' AND country = 'FR' AND region = 'IDF'
		AND device = 'phone' AND os = 'iOS' AND browser = 'Safari' AND browser_major = 18 AND utm_source = 'us' AND utm_medium = 'um'
		AND utm_campaign = 'uc' AND utm_term = 'ut' AND utm_content = 'uo' AND clickid = 'gclid' AND what = 'text' AND chars = 10
		AND words = 2 AND token = 'token' AND channel = 'sms' AND outcome = 'done' AND visible = 1099511627776 AND scroll = 100
		AND name = 'buy' AND value = toDecimal64('12345.6789', 4) AND currency = 'EUR' AND order = 'o-1' AND answer = 'person' AND mood = -1
		AND campaign = 'campaign' AND label = 'label' AND kind = 'chat' AND side = 'server'`, at); got != 1 {
		t.Error("the full event did not come back as it was")
	}
	if got := w.number("SELECT count() FROM passalong.events WHERE type = 'engage' AND seq IS NULL AND published IS NULL AND value = 0 AND row = 1"); got != 1 {
		t.Error("what was not given is not NULL")
	}
	filled := map[string]bool{}
	for _, f := range eventFields {
		filled[f.name] = true
	}
	rows, err := w.conn.Query(t.Context(), "SELECT name FROM system.columns WHERE database = 'passalong' AND table = 'events'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !filled[name] {
			t.Errorf("column %s is never filled", name)
		}
	}
}

// A batch is sent in chunks, each with its dictionaries: with one key of one
// byte, with more, and with none but the empty string.
func TestValuesComeBackFromEveryChunk(t *testing.T) {
	w := newWorld(t)
	o := w.options(openSpool(t, ""))
	o.FlushInterval = time.Hour // until it is asked for
	c := w.start(o)
	const rows = 3*chunkRows + 17
	events := make([]*event.Event, rows)
	for i := range events {
		e := viewEvent("engage", "view", fmt.Sprint("reader ", i), 0)
		e.Section, e.Os, e.Country = fmt.Sprint("section ", i%300), fmt.Sprint("os ", i%255), fmt.Sprint("c", i/chunkRows)
		e.Title, e.Visible = strings.Repeat("é", i%5), uint64(i)
		events[i] = e
	}
	for some := range slices.Chunk(events, 4000) {
		c.append(some...)
	}
	c.flush()
	if got := c.Stats().Batches; got != 1 {
		t.Errorf("%d batches, want all in one", got)
	}
	if got := w.number(`SELECT countIf(section = concat('section ', toString(row % 300)) AND os = concat('os ', toString(row % 255))
		AND country = concat('c', toString(intDiv(row, 8192))) AND title = repeat('é', row % 5) AND visible = row
		AND visitor = concat('reader ', toString(row)) AND browser = '' AND seq IS NULL) FROM passalong.events`); got != rows {
		t.Errorf("%d rows came back as they were, of %d", got, rows)
	}
	if got := w.number("SELECT count() FROM system.parts WHERE database = 'passalong' AND table = 'events' AND active"); got != 1 {
		t.Errorf("%d parts: a batch that is stored in several can be there in part", got)
	}
}

func TestTextsAreKeptApart(t *testing.T) {
	w := newWorld(t)
	c := w.start(w.options(openSpool(t, "")))
	quote, answer, bot := viewEvent("copy", "ann", "ann", 0), viewEvent("answer", "ann", "ann", 1), viewEvent("copy", "ann", "bot", 2)
	quote.Quote, answer.Text, bot.Quote, bot.Bot = "a passage", "ma sœur", "a passage", true
	c.load([]*event.Event{view("ann", "", "ann", 0), quote, answer, bot})
	if got := w.number("SELECT count() FROM passalong_private.texts WHERE quote = 'a passage' AND row = 1 OR text = 'ma sœur' AND row = 2"); got != 2 {
		t.Errorf("%d texts, want 2", got)
	}
	if got := w.number("SELECT count() FROM passalong_private.texts"); got != 2 {
		t.Errorf("%d texts in all, want 2: a bot's are not kept", got)
	}
}

func TestNobodyIsBornOfABotOrAStrictShare(t *testing.T) {
	bot := view("bot", "ann", "bot", 0)
	bot.Bot = true
	cohort := share("ann", "ann", "ann", 0)
	cohort.Privacy = "strict"
	if b := births([]*event.Event{bot, cohort, viewEvent("engage", "ann", "ann", 0)}); len(b) != 0 {
		t.Errorf("born: %+v", b)
	}
}

func TestPlainIsWithoutAppPackageAndReferrer(t *testing.T) {
	for name, set := range map[string]func(*event.Event){
		"an app":     func(e *event.Event) { e.App = "telegram" },
		"a package":  func(e *event.Event) { e.Packaged, e.PackageChannel = true, "telegram" },
		"a referrer": func(e *event.Event) { e.Referrer = "https://t.co/" },
		"nothing":    func(*event.Event) {},

		"a package that nobody knows": func(e *event.Event) { e.Packaged = true },
	} {
		e := view("ann", "", "ann", 0)
		e.Referrer = ""
		set(e)
		if got := births(one(e))[0].Plain; got != (name == "nothing") {
			t.Errorf("with %s: plain is %t", name, got)
		}
	}
}

// The whole way with many late parents, by one loader and by two that write
// to one database at once.
func TestLineageEqualsTheDefinition(t *testing.T) {
	t.Run("one collector", func(t *testing.T) {
		noLeak(t)
		w := newWorld(t)
		o := w.options(openSpool(t, ""))
		o.FlushRows = 150
		c := w.start(o)
		beacons := crowd(1, 2000, 0)
		c.load(beacons...)
		w.exact(rowsOf(beacons))
	})
	t.Run("two collectors", func(t *testing.T) {
		w := newWorld(t)
		var cs [2]*collector
		for i := range cs {
			o := w.options(openSpool(t, ""))
			o.FlushInterval = time.Millisecond
			o.SweepInterval = 50 * time.Millisecond
			cs[i] = w.start(o)
		}
		beacons := crowd(2, 2000, 0)
		i := 0
		for some := range slices.Chunk(beacons, 20) {
			cs[i%2].appendAll(some)
			i++
		}
		for range 2 {
			cs[0].flush()
			cs[1].flush()
		}
		w.exact(rowsOf(beacons))
	})
}
