// Package enrich turns a beacon that was found good into the rows that are
// stored: what the evidence says of app, referrer, campaign, bot, device and
// place, and who the visitor is for the day.
//
// A caller can rely on two things. No field of an event holds the address or
// the agent of the request: here they end. And any input gives an answer in
// bounded time: a page, a referrer or an agent that makes no sense is as good as
// none. What the evidence means is in the tables of facts/, whose README says
// which of several facts is believed; an Enricher is safe for any number of
// goroutines.
//
// Not promised: that a verdict is true. Agents and referrers are claims.
//
// What surprises: a beacon's events can have two visitors. The hash is of the
// UTC day on which an event happened, and a beacon can reach over midnight.
package enrich

import (
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"time"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
)

// Options of New.
type Options struct {
	// Geo finds the country of an address. None: no countries.
	Geo interface {
		Find(netip.Addr) (country, region string)
	}
	// Salts has the secret of a site and UTC day (days since 1970-01-01). Required.
	Salts interface {
		For(site string, day int32) ([32]byte, error)
	}
	// Facts is a folder of tables instead of the built-in ones; New then also
	// tries every example, so that a wrong row is found at start.
	Facts fs.FS
}

// A Request is what the collector saw beside the beacon.
type Request struct {
	Received time.Time
	Address  netip.Addr
	Agent    string
	Package  string // the header X-Requested-With
}

// An Enricher makes events of beacons.
type Enricher struct {
	options Options
	facts   *facts
	agents  *agents
}

// New reads the tables. Its errors name file and line.
func New(o Options) (*Enricher, error) {
	if o.Salts == nil {
		return nil, fmt.Errorf("enrich: no salts")
	}
	tables := o.Facts
	if tables == nil {
		tables = Builtin()
	}
	f, err := loadFacts(tables)
	if err != nil {
		return nil, err
	}
	if o.Facts != nil {
		if err := f.check(); err != nil {
			return nil, err
		}
	}
	a, err := newAgents(f)
	if err != nil {
		return nil, fmt.Errorf("agent cache: %w", err)
	}
	return &Enricher{options: o, facts: f, agents: a}, nil
}

// Agent is what an agent says. Short links ask it too: one table tells bots and
// previews everywhere.
func (e *Enricher) Agent(agent string) Verdict { return e.agents.verdict(agent) }

// Page is an address in the form in which pages are counted, empty when it is
// no absolute http or https address.
func (e *Enricher) Page(raw string) string {
	page, _, _ := e.facts.page(raw)
	return page
}

// Events makes one event of each of the beacon's. The beacon has passed
// hit.Decode and Check, and is not kept. Generation is that of its cohort token
// at a strict site.
func (e *Enricher) Events(b *hit.Beacon, s *site.Site, r Request, generation int) ([]*event.Event, error) {
	page, c, ok := e.facts.page(b.Page)
	if !ok {
		// The sender's fault: hit lets pass what it can tell the host of.
		return nil, &hit.Error{Field: "page", Problem: "not an http or https address"}
	}
	from := e.facts.referrer(b.Referrer, s)
	v := e.agents.verdict(r.Agent)
	address := bare(r.Address)
	strict := s.Privacy == site.Strict

	canonical := page
	if b.Canonical != b.Page {
		canonical = e.Page(b.Canonical)
	}
	var published int64
	if !b.Published.IsZero() {
		published = b.Published.UnixMilli()
	}
	var packageChannel, app string
	if !v.Bot {
		packageChannel = e.packageChannel(r.Package)
		app = firstOf(packageChannel, v.App, hint(b.App))
	}
	var country, region string
	if e.options.Geo != nil && r.Address.IsValid() {
		country, region = e.options.Geo.Find(address)
	}

	var seq *uint32
	if b.Seq != nil {
		n := *b.Seq
		seq = &n
	}

	// What all events of the beacon have in common.
	common := func(ev *event.Event) {
		ev.Site, ev.Privacy = s.ID, string(s.Privacy)
		ev.Received = r.Received.UnixMilli()
		ev.Seq, ev.View, ev.Via, ev.Returned, ev.Bot = seq, b.View, b.Via, b.Return, v.Bot
		ev.Page, ev.Canonical, ev.Title, ev.Author, ev.Section, ev.Published = page, canonical, b.Title, b.Author, b.Section, published
		ev.Language, ev.Zone, ev.Width = b.Language, b.Zone, b.Width
		ev.Referrer, ev.ReferrerKind, ev.ReferrerChannel = from.referrer, from.kind, from.channel
		ev.App, ev.PackageChannel = app, packageChannel
		ev.Packaged = r.Package != "" && r.Package != "XMLHttpRequest" // which a page's own library sends
		ev.Country, ev.Region = country, region
		ev.Device, ev.Os, ev.Browser, ev.BrowserMajor = v.Device, v.OS, v.Browser, v.Major
		ev.UtmSource, ev.UtmMedium, ev.UtmCampaign, ev.Clickid = c.source, c.medium, c.name, c.clickid
		if strict {
			ev.Generation = uint32(generation)
		} else {
			ev.UtmTerm, ev.UtmContent = c.term, c.content
		}
	}

	events := make([]*event.Event, len(b.Events))
	salted := int32(-1 << 31)
	var who string
	var net uint64
	for i := range b.Events {
		ev := rows.Get().(*event.Event)
		events[i] = ev
		common(ev)
		in := &b.Events[i]
		at := r.Received.Add(-in.Age)
		ev.Time, ev.Day, ev.Item = at.UnixMilli(), s.Day(at), uint32(i)
		if day := utcDay(at); day != salted {
			salt, err := e.options.Salts.For(s.ID, day)
			if err != nil {
				return nil, fmt.Errorf("salt: %w", err)
			}
			salted = day
			who, net = visitor(&salt, s.ID, address, r.Agent), network(&salt, s.ID, address)
		}
		ev.Visitor, ev.Network = who, net
		// At a strict site a token names nobody, and a consented id would.
		if b.Visitor != "" && !strict {
			ev.Visitor, ev.Consented = b.Visitor, true
		}
		fill(ev, in, s)
	}
	return events, nil
}

// rows are empty events.
var rows = sync.Pool{New: func() any { return new(event.Event) }}

// Release takes back events that nobody looks at any more.
func (e *Enricher) Release(events []*event.Event) {
	for _, ev := range events {
		ev.Reset()
		rows.Put(ev)
	}
}

// fill copies what belongs to the event's type; hit has emptied the rest.
func fill(ev *event.Event, in *hit.Event, s *site.Site) {
	ev.Type = in.Type
	ev.Hash = in.Hash
	ev.What, ev.Chars, ev.Words = in.What, in.Chars, in.Words
	if s.Quotes && s.Privacy != site.Strict {
		ev.Quote = in.Quote
	}
	ev.Token, ev.Channel, ev.Outcome = in.Token, in.Channel, in.Outcome
	ev.Visible, ev.Scroll = uint64(max(0, in.Visible).Milliseconds()), in.Scroll
	ev.Name, ev.Value, ev.Currency, ev.Order = in.Name, in.Value, in.Currency, in.Order
	ev.Answer, ev.Mood, ev.Text = in.Source, in.Mood, in.Text
}

// packageChannel maps X-Requested-With and forgets it: a rare package would
// tell readers apart.
func (e *Enricher) packageChannel(name string) string {
	if name == "" {
		return ""
	}
	key, ok := packageKey(name)
	if !ok {
		return ""
	}
	if p := e.facts.packages[key]; p != nil {
		return p.channel
	}
	return ""
}

// hint is what the page's script saw of the app around it.
func hint(app string) string {
	if channel.Known(app) {
		return app
	}
	return ""
}

func firstOf(channels ...string) string {
	for _, c := range channels {
		if c != "" {
			return c
		}
	}
	return ""
}

// utcDay is the day whose salt an instant is hashed under.
func utcDay(t time.Time) int32 {
	seconds := t.Unix()
	day := seconds / 86400
	if seconds%86400 < 0 {
		day--
	}
	return int32(day)
}
