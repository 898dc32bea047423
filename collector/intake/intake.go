// Package intake is the order of steps for one request: hit reads it, site
// takes it, enrich says what it means.
//
// What comes out is rows that may be stored: the address and the agent of a
// Request end here. Nothing is stored here, and nothing is kept between two
// requests but the links born in an import. An error is a *hit.Error, for
// whoever sent the request, or a fault of ours. An Intake is safe for any number
// of goroutines.
//
// What surprises: a beacon and an import line take the same way, and differ
// only in where the clock comes from. A line's own time is its clock.
package intake

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
)

// An Enricher says what the evidence means, as enrich.Enricher does.
type Enricher interface {
	Events(b *hit.Beacon, s *site.Site, r enrich.Request, generation int) ([]*event.Event, error)
	Release(events []*event.Event)
	Agent(agent string) enrich.Verdict
	Page(raw string) string
}

// Links knows the short links that were born before.
type Links interface {
	// Find gives the site and the page that a link's token leads to.
	Find(token string) (site, page string, ok bool)
}

// Options of an Intake. Sites and Enricher are required.
type Options struct {
	Sites    site.Set
	Enricher Enricher
	Links    Links // nil: only those born in the same import are known

	// Retention gives the moment before which nothing is kept; nil: 25 months.
	Retention func(now time.Time) time.Time
}

// An Intake turns requests into events.
type Intake struct{ options Options }

// New makes an Intake.
func New(o Options) *Intake {
	if o.Retention == nil {
		o.Retention = func(now time.Time) time.Time { return now.AddDate(0, -25, 0) }
	}
	return &Intake{o}
}

// A Request is a beacon as it came over HTTP.
type Request struct {
	Received time.Time
	Address  netip.Addr
	Agent    string
	Package  string // the header X-Requested-With
	Origin   string // empty when none was sent
	Body     []byte
}

// Beacon gives the events of one beacon, or the *hit.Error that refuses it
// whole. It keeps nothing of the request: Body and what the texts lie in may be
// used again after the call.
func (in *Intake) Beacon(r Request) ([]*event.Event, error) {
	b, err := hit.Decode(r.Body)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	s := in.options.Sites[b.Site]
	if err := b.Check(s, r.Origin, r.Received); err != nil {
		return nil, err
	}
	events, err := in.options.Enricher.Events(b, s, enrich.Request{
		Received: r.Received, Address: r.Address, Agent: r.Agent, Package: r.Package,
	}, b.Generation)
	if err != nil {
		return nil, fmt.Errorf("enrich: %w", err)
	}
	return events, nil
}

// Release gives the events of a beacon back when nobody looks at them any more.
// That is never needed; it spares the garbage collector 1 kB an event.
func (in *Intake) Release(events []*event.Event) { in.options.Enricher.Release(events) }
