package erase

import (
	"crypto/sha256"
	"strings"

	"github.com/passalong/passalong/collector/event"
)

// A Kind is what an order names.
type Kind string

const (
	Visitor Kind = "visitor" // a consented id or a day's pseudonym
	Token   Kind = "token"   // of a view, with its shares; of a share or link
)

// An Order says that rows of one site received until At are to go, and never
// to be loaded again, where they bear what Digest was made of.
type Order struct {
	ID     string
	Site   string
	Kind   Kind
	Digest [32]byte
	At     int64 // Unix milliseconds
}

// Digest is how an order names a visitor or token. The server makes the same of
// its rows, so it must never change.
func Digest(kind Kind, site, name string) [32]byte {
	b := make([]byte, 0, 128)
	b = append(b, kind...)
	b = append(b, '\n')
	b = append(b, site...)
	b = append(b, '\n')
	return sha256.Sum256(append(b, name...))
}

// A Set is every order there is. The zero value holds none.
type Set struct {
	newest  int64
	sites   map[string]int64 // the newest of each: what was received later needs no digest
	digests map[[32]byte]until
}

// An until is up to when an order holds, and which. Kind and site are in the
// digest.
type until struct {
	at int64
	id string
}

// NewSet makes a set of orders.
func NewSet(orders []Order) Set {
	s := Set{sites: map[string]int64{}, digests: map[[32]byte]until{}}
	for _, o := range orders {
		s.newest = max(s.newest, o.At)
		s.sites[o.Site] = max(s.sites[o.Site], o.At)
		if o.At > s.digests[o.Digest].at {
			s.digests[o.Digest] = until{o.At, o.ID}
		}
	}
	return s
}

// Newest is when the last order was written: Unix milliseconds, 0 for none.
func (s *Set) Newest() int64 { return s.newest }

// Match says whether an order holds for a row by itself. A Sieve knows more.
func (s *Set) Match(e *event.Event) bool {
	if !s.near(e) {
		return false
	}
	_, byVisitor := s.visitor(e)
	return byVisitor || s.token(e)
}

// near says whether any order can hold for a row: a look into a map.
func (s *Set) near(e *event.Event) bool {
	newest, any := s.sites[e.Site]
	return any && e.Received <= newest
}

func (s *Set) visitor(e *event.Event) (u until, holds bool) {
	if e.Visitor == "" {
		return u, false
	}
	u, known := s.digests[Digest(Visitor, e.Site, e.Visitor)]
	return u, known && e.Received <= u.at
}

func (s *Set) token(e *event.Event) bool {
	for _, token := range [...]string{e.View, e.Token} {
		if token == "" {
			continue
		}
		if u, known := s.digests[Digest(Token, e.Site, token)]; known && e.Received <= u.at {
			return true
		}
	}
	return false
}

// owns says whether a row of a visitor makes its whole view theirs: it was born
// by them, or a beacon of it brought their consented id. At level strict a
// view's token is a cohort's.
func owns(e *event.Event) bool {
	return e.View != "" && e.Privacy != "strict" && (e.Type == "view" || e.Consented)
}

// A Sieve looks at a batch of rows twice: one row may tell whose another is,
// as a consent does that came late.
type Sieve struct {
	set   *Set
	views map[view]until // of erased visitors
}

type view struct{ site, token string }

// Sieve begins a batch.
func (s *Set) Sieve() *Sieve { return &Sieve{set: s, views: map[view]until{}} }

// First says of each row in turn whether an order holds for it.
func (v *Sieve) First(e *event.Event) bool {
	if !v.set.near(e) {
		return false
	}
	u, byVisitor := v.set.visitor(e)
	if byVisitor && owns(e) && u.at > v.views[view{e.Site, e.View}].at {
		v.views[view{strings.Clone(e.Site), strings.Clone(e.View)}] = u // the row's memory is the batch's
	}
	return byVisitor || v.set.token(e)
}

// Owned says whether a second look is needed.
func (v *Sieve) Owned() bool { return len(v.views) > 0 }

// Second says of each row whether its view is an erased visitor's.
func (v *Sieve) Second(e *event.Event) bool {
	return e.View != "" && e.Received <= v.views[view{e.Site, e.View}].at
}

// More are orders for those views, as far as the set does not have them. Rows
// of such a view may be stored already: Widen takes them out.
func (v *Sieve) More() (more []Order) {
	for at, u := range v.views {
		digest := Digest(Token, at.site, at.token)
		if u.at > v.set.digests[digest].at {
			more = append(more, Order{ID: u.id, Site: at.site, Kind: Token, Digest: digest, At: u.at})
		}
	}
	return more
}
