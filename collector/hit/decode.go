package hit

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

// Decode reads a beacon and checks its shape and limits. It copies what it
// keeps: body may be reused at once. Unknown fields are ignored.
func Decode(body []byte) (*Beacon, error) {
	if len(body) > MaxBody {
		return nil, bad("body", fmt.Sprintf("longer than %d bytes", MaxBody))
	}
	r := open(body, "body")
	defer r.close()
	b := beacons.Get().(*Beacon)
	*b = Beacon{Privacy: site.Full}
	if r.walkable(body) && r.all(b) == nil {
		return shaped(b)
	}
	r.general(body)
	*b = Beacon{Privacy: site.Full}
	if err := r.all(b); err != nil {
		return nil, err
	}
	return shaped(b)
}

// A beacon has 900 bytes, most of them pointers that the garbage collector
// would follow.
var beacons = sync.Pool{New: func() any { return new(Beacon) }}

// Release gives the beacon to another body. Its texts stay good, for they are
// not part of it; what Seq points to and Events do not.
func (b *Beacon) Release() { beacons.Put(b) }

// all reads a body from its first byte to its last.
func (r *reader) all(b *Beacon) error {
	if err := r.object("body", func(name string) error { return r.beacon(b, name) }); err != nil {
		return err
	}
	return r.end()
}

func shaped(b *Beacon) (*Beacon, error) {
	if err := b.shape(); err != nil {
		return nil, err
	}
	return b, nil
}

func (r *reader) beacon(b *Beacon, name string) error {
	switch name {
	case "site":
		return r.str(name, &b.Site)
	case "privacy":
		return r.str(name, (*string)(&b.Privacy))
	case "page":
		return r.str(name, &b.Page) // its limit counts without the token
	case "view":
		return r.str(name, &b.View)
	case "seq":
		seq := int64(-1)
		if err := r.whole(name, &seq, 0, 1<<32-1); err != nil || seq < 0 {
			return err
		}
		b.seq = uint32(seq)
		b.Seq = &b.seq
		return nil
	case "via":
		return r.str(name, &b.Via)
	case "referrer":
		return r.cut(name, &b.Referrer, maxPage)
	case "return":
		return r.boolean(name, &b.Return)
	case "app":
		return r.str(name, &b.App)
	case "title":
		return r.cut(name, &b.Title, maxTitle)
	case "language":
		return r.cut(name, &b.Language, maxLanguage)
	case "zone":
		return r.cut(name, &b.Zone, maxZone)
	case "width":
		return r.capped(name, &b.Width, maxWidth)
	case "canonical":
		if err := r.str(name, &b.Canonical); err != nil {
			return err
		}
		if len(b.Canonical) > maxPage {
			b.Canonical = "" // half an address would be another page's
		}
		return nil
	case "author":
		return r.cut(name, &b.Author, maxAuthor)
	case "section":
		return r.cut(name, &b.Section, maxSection)
	case "published":
		return r.date(name, &b.Published)
	case "visitor":
		return r.few(name, &b.Visitor, maxVisitor)
	case "events":
		return r.events(b)
	}
	return r.skip("body")
}

func (r *reader) events(b *Beacon) error {
	if r.null() {
		return nil
	}
	b.Events = b.few[:0]
	return r.list("events", func() error {
		i := len(b.Events)
		if i == maxEvents {
			return bad("events", fmt.Sprintf("more than %d", maxEvents))
		}
		b.Events = append(b.Events, Event{Age: absent, Visible: absent})
		if err := r.event(&b.Events[i]); err != nil {
			return within(err, i)
		}
		return nil
	})
}

// within puts an event's place before the field of its error.
func within(err error, i int) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Field == "" {
		e.Field = fmt.Sprintf("events[%d]", i)
	} else {
		e.Field = fmt.Sprintf("events[%d].%s", i, e.Field)
	}
	return e
}

// date reads a time of RFC 3339 that a DateTime64 can hold.
func (r *reader) date(field string, to *time.Time) error {
	var s string
	if err := r.str(field, &s); err != nil || s == "" {
		return err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return bad(field, "not a time of RFC 3339")
	}
	if y := t.UTC().Year(); y < 1900 || y > 2299 {
		return bad(field, "not from 1900 to 2299")
	}
	*to = t
	return nil
}

// shape checks what needs no site.
func (b *Beacon) shape() error {
	if b.Site == "" {
		return bad("site", "missing")
	}
	switch b.Privacy {
	case "":
		b.Privacy = site.Full
	case site.Full, site.Strict, site.Consent:
	default:
		return bad("privacy", "not full, strict or consent")
	}
	if b.Page == "" {
		return bad("page", "missing")
	}
	b.Page = bare(b.Page)
	if len(b.Page) > maxPage {
		return bad("page", fmt.Sprintf("longer than %d bytes", maxPage))
	}
	var problem string
	if b.host, problem = host(b.Page); problem != "" {
		return bad("page", problem)
	}
	if b.View == "" {
		return bad("view", "missing")
	}
	if !token.Valid(b.View) {
		return bad("view", "not a token")
	}
	if b.App != "" && !channel.Known(b.App) {
		return bad("app", "not a channel")
	}
	if b.Via != "" && !token.Valid(b.Via) {
		b.Via = "" // somebody's own fragment; the view stands
	}
	if len(b.Events) == 0 {
		return bad("events", "missing")
	}
	for i := range b.Events {
		if err := b.Events[i].shape(); err != nil {
			return within(err, i)
		}
	}
	return nil
}
