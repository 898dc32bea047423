package hit

import (
	"time"

	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

// ahead is how far a token's clock may run before ours (contract, section 2).
const ahead = 24 * time.Hour

// Check says whether the site takes the beacon, and drops from it what the site
// must not keep. Origin is the request's header, empty when none was sent; now
// is when the beacon came. A nil site is one that is not configured.
func (b *Beacon) Check(s *site.Site, origin string, now time.Time) error {
	if s == nil {
		return &Error{Field: "site", Problem: "not a site of this collector", Foreign: true}
	}
	if !s.Owns(b.host) {
		return foreign(s, "page")
	}
	if origin != "" {
		if h, problem := host(origin); problem != "" || !s.Owns(h) {
			return &Error{Field: "origin", Problem: "not of " + s.ID, Foreign: true}
		}
	}
	if b.Privacy != s.Privacy {
		return bad("privacy", "not the site's level, which is "+string(s.Privacy))
	}
	if b.Via != "" && token.Time(b.Via).After(now.Add(ahead)) {
		b.Via = ""
	}
	if s.Privacy == site.Strict {
		if err := b.strict(); err != nil {
			return err
		}
	}
	for i := range b.Events {
		e := &b.Events[i]
		if e.Type == "share" && e.Token == b.View && s.Privacy != site.Strict {
			return within(bad("token", "the view's own; each share has one of its own"), i)
		}
		if !s.Quotes || s.Privacy == site.Strict {
			e.Quote = ""
		}
		if e.Type == "convert" && e.Value > 0 && e.Currency == "" {
			e.Currency = s.Currency
		}
	}
	return nil
}

// strict lets pass only tokens that name nobody.
func (b *Beacon) strict() error {
	g, ok := token.Generation(b.Site, b.Page, b.View)
	if !ok {
		return bad("view", "not a cohort token of this page")
	}
	b.Generation = g
	b.Visitor = ""
	for i := range b.Events {
		if e := &b.Events[i]; e.Type == "share" && e.Token != b.View {
			return within(bad("token", "not the view's own, which is the only one at a strict site"), i)
		}
	}
	return nil
}

func foreign(s *site.Site, field string) *Error {
	return &Error{Field: field, Problem: "not a page of " + s.ID, Foreign: true}
}
