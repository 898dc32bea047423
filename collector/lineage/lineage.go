// Package lineage decides who passed what to whom: the parent, the origin and
// the depth of every view, share and link.
//
// A caller can rely on the result being a function of the births and consents
// alone. In whatever order they come and however they are cut into batches, the
// stored nodes end up as the definition (contract, sections 2, 8 and 10) says
// of all of them together. [Decide] gathers what has to be looked at and [Resolve]
// decides; both leave the writing to the caller, and both may be repeated.
//
// Not promised: that a decision is final. A parent may be born after its
// child, an earlier birth of a token may come to light later, and a reader may
// consent late; then the nodes below are decided anew and returned again with a higher version.
//
// What surprises: a token that nobody has seen being born still has a tree.
// It stands for a root of depth 0, so its arrivals have it as origin and
// depth 1 and wait for it (Pending). When it is born, everything that has it
// as origin is decided anew by the same rules.
//
// The package knows neither SQL nor the clock.
package lineage

import "time"

// Kinds of nodes.
const (
	View  = "view"  // a page view: an arrival when it has a Via, else a root
	Share = "share" // a share made on a view (Via): no reader, its view's place in the tree
	Link  = "link"  // a seeded short link: always a root
)

const (
	// Slack is how much younger than its child a parent may seem. Both times
	// are the server's clock less the age the browser gave, so they differ
	// from the truth by the way of two beacons. `received` cannot be compared
	// instead: a phone without network sends the parent's beacon hours late.
	Slack = 10 * time.Minute

	// Gap is the time after which a plain arrival by a view's token is taken
	// for the same reader who kept the address (contract, section 2).
	Gap = 20 * time.Hour
)

// Key names a node: tokens are unique within a site only.
type Key struct{ Site, Token string }

// Birth is what one beacon said of one token.
type Birth struct {
	Site, Token string
	Kind        string
	Via         string // view: the token it came by; share: its view; "" where there is none
	Time        int64  // when it happened, Unix milliseconds
	Received    int64  // when the collector took it, Unix milliseconds
	Day         int32  // the site's day of Time, days since 1970-01-01
	Page        string
	Visitor     string // of a view the consented id, where any of its beacons brought one
	Network     uint64
	Returned    bool // the browser itself came back
	Plain       bool // came without app, package and referrer
	Generation  int8 // strict: 0 to 9; −1 where tokens name single views
}

// Node is a birth and what was decided of it.
type Node struct {
	Birth
	Parent  string // "" for a root
	Origin  string // root of its tree, or the unknown token above it
	Depth   uint32
	Return  bool // the same reader again: no new reader
	Pending bool // Parent is not yet known

	// Revision counts the decisions about one birth, up to maxRevision.
	Revision uint32

	// Fixed marks a node that is only looked at: as a parent, or as the view
	// of a parent. It is never decided anew and never returned, so everything
	// but Time, Kind, Via, Visitor, Generation and its place may be missing.
	Fixed bool
}

// A Consent says that a beacon of a view brought a consented id, or that one
// may have. The id holds for the whole view, so it becomes its node's Visitor,
// whenever it comes.
type Consent struct {
	Site, View string
	Day        int32 // the site's day of that beacon
}

// Key returns the key of the view's node.
func (c *Consent) Key() Key { return Key{c.Site, c.View} }

// Key returns the node's key.
func (b *Birth) Key() Key { return Key{b.Site, b.Token} }

// ViaKey returns the key of what the birth came by.
func (b *Birth) ViaKey() Key { return Key{b.Site, b.Via} }

// hangs says whether a birth of this kind has a parent at all.
func (b *Birth) hangs() bool { return b.Via != "" && b.Kind != Link }

// sameDecision compares what was decided of one birth, and who it is by now.
func sameDecision(a, b *Node) bool {
	return a.Parent == b.Parent && a.Origin == b.Origin && a.Depth == b.Depth &&
		a.Return == b.Return && a.Pending == b.Pending && a.Visitor == b.Visitor
}
