package intake

import (
	"fmt"
	"strings"
	"time"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
)

// ahead is how far a line may lie before the real clock (contract, section 1).
const ahead = 24 * time.Hour

// An Import is one import's way in. It remembers the links that are born in
// it, about 200 bytes each.
type Import struct {
	in   *Intake
	born map[string]place
}

type place struct{ site, page string }

// Import begins an import.
func (in *Intake) Import() *Import {
	return &Import{in: in, born: map[string]place{}}
}

// Line takes one line without its end. No events and no error: the line counts
// as taken and nothing of it is kept, as one with a privacy signal.
func (in *Import) Line(line []byte, now time.Time) ([]*event.Event, error) {
	p, err := in.Parse(line, now)
	if err != nil {
		return nil, err
	}
	return in.Settle(p)
}

// Parsed is a line between Parse and Settle.
type Parsed struct {
	events []*event.Event
	link   *hit.Line // a request of a link, not yet looked up
}

// Parse does what is the same wherever in the file a line stands, and may run
// for several lines at once. Now is the real clock, by which a line is too old
// or too far ahead.
func (in *Import) Parse(line []byte, now time.Time) (Parsed, error) {
	l, err := hit.DecodeLine(line)
	if err != nil {
		return Parsed{}, err
	}
	switch {
	case l.Time.Before(in.in.options.Retention(now)):
		return Parsed{}, &hit.Error{Field: "time", Problem: "older than the retention"}
	case l.Time.After(now.Add(ahead)):
		return Parsed{}, &hit.Error{Field: "time", Problem: "more than 24 hours ahead"}
	case l.NewLink != nil:
		e, err := in.in.birth(l)
		if err != nil {
			return Parsed{}, err
		}
		return Parsed{events: []*event.Event{e}}, nil
	case l.GPC:
		return Parsed{}, nil
	case l.Link != nil:
		if l.Link.Method == "HEAD" || strings.HasPrefix(l.Link.Purpose, "prefetch") {
			return Parsed{}, nil // nobody opened it
		}
		return Parsed{link: l}, nil
	}
	events, err := in.in.Beacon(Request{
		Received: l.Time, Address: l.Address, Agent: l.Agent, Package: l.Package, Body: l.Beacon,
	})
	return Parsed{events: events}, err
}

// Settle finishes a line. It is called for one line after the other, in the
// order of the file: a link is known from its birth on.
func (in *Import) Settle(p Parsed) ([]*event.Event, error) {
	if p.link != nil {
		return in.request(p.link)
	}
	for _, e := range p.events {
		if e.Type != "link" {
			continue
		}
		if _, twice := in.born[e.Token]; !twice {
			in.born[e.Token] = place{e.Site, e.Page}
		}
	}
	return p.events, nil
}

// birth is the one event of a new link. Nobody visited: it has no visitor, no
// network and no device.
func (in *Intake) birth(l *hit.Line) (*event.Event, error) {
	n := l.NewLink
	s := in.options.Sites[n.Site]
	if err := n.Check(s); err != nil {
		return nil, err
	}
	at := l.Time.UnixMilli()
	return &event.Event{
		Site: s.ID, Type: "link", Time: at, Received: at, Day: s.Day(l.Time), Privacy: string(s.Privacy),
		Page: in.options.Enricher.Page(n.Page), Token: n.Token,
		Campaign: n.Campaign, Channel: n.Channel, Label: n.Label, Kind: n.Kind,
	}, nil
}

// request is the one event of a GET of a short link: what a beacon of its page
// would be, without a view.
func (in *Import) request(l *hit.Line) ([]*event.Event, error) {
	o := &in.in.options
	at, known := in.born[l.Link.Token]
	if !known && o.Links != nil {
		at.site, at.page, known = o.Links.Find(l.Link.Token)
	}
	s := o.Sites[at.site]
	if !known || s == nil {
		return nil, &hit.Error{Field: "link", Problem: "unknown link"}
	}
	if s.Privacy == site.Consent {
		return nil, nil // a link is followed before anybody could consent
	}
	get := hit.Event{Type: "open", Token: l.Link.Token}
	fetcher := o.Enricher.Agent(l.Agent)
	if fetcher.Bot { // a preview, or any other bot
		get.Type, get.Channel = "unfurl", fetcher.Preview
	}
	events, err := o.Enricher.Events(
		&hit.Beacon{Site: s.ID, Privacy: s.Privacy, Page: at.page, Events: []hit.Event{get}}, s,
		enrich.Request{Received: l.Time, Address: l.Address, Agent: l.Agent, Package: l.Package}, 0)
	if err != nil {
		return nil, fmt.Errorf("enrich %s: %w", get.Type, err)
	}
	for _, e := range events {
		if fetcher.Bot {
			e.Side = fetcher.Side
		}
	}
	return events, nil
}
