package lineage

import "cmp"

// The layout of a version, the largest of which a ReplacingMergeTree keeps:
//
//	63            21 20     13 12       0
//	┌───────────────┬─────────┬──────────┐
//	│ max − received│ content │ revision │
//	└───────────────┴─────────┴──────────┘
//
// so that the earliest birth wins, equal times have one winner in any order,
// a view before a link before a share, and of one birth the latest decision
// holds.
const (
	receivedBits = 43 // milliseconds since 1970 until the year 2248
	revisionBits = 13
	maxReceived  = 1<<receivedBits - 1

	// maxRevision is where counting stops. A node decided anew more often
	// keeps the same version; the table then keeps the row written last.
	maxRevision = 1<<revisionBits - 1
)

// Version orders the rows of one token in the table.
func (n *Node) Version() uint64 {
	received := uint64(max(0, min(n.Received, maxReceived)))
	return (maxReceived-received)<<21 | n.content()>>56<<revisionBits | uint64(min(n.Revision, maxRevision))
}

// RevisionOf reads the revision out of a stored version.
func RevisionOf(version uint64) uint32 { return uint32(version & maxRevision) }

// Before says whether a is the birth that holds and b the double.
func Before(a, b *Birth) bool {
	if a.Received != b.Received {
		return a.Received < b.Received
	}
	return compareContent(a, b) > 0
}

func compareContent(a, b *Birth) int {
	if *a == *b {
		return 0
	}
	return cmp.Or(
		cmp.Compare(a.content(), b.content()),
		// Two contents with one hash: any order will do that is always the same.
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Via, b.Via), cmp.Compare(a.Time, b.Time),
		cmp.Compare(a.Day, b.Day), cmp.Compare(a.Page, b.Page), cmp.Compare(bit(a.Returned), bit(b.Returned)),
		cmp.Compare(bit(a.Plain), bit(b.Plain)), cmp.Compare(a.Generation, b.Generation),
		// One beacon imported under two salts. All births of a visitor then
		// fall to the same side, so that who is a return stays the same. The
		// network comes first: a late consent does not change it.
		cmp.Compare(a.Network, b.Network), cmp.Compare(a.Visitor, b.Visitor),
	)
}

// content tells births of one key and one time of receipt apart: the two
// highest bits are the kind's rank, the others FNV-1a over what the beacon
// said. Visitor and network are left out: they depend on a salt, and an import
// under another salt must come to the same winner. It is stored (in versions),
// so it must never change.
func (b *Birth) content() uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{b.Kind, b.Via, b.Page} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211 // no UTF-8 text has this byte
	}
	for _, v := range [...]uint64{uint64(b.Time), uint64(b.Day), bit(b.Returned), bit(b.Plain), uint64(b.Generation)} {
		for range 8 {
			h = (h ^ v&0xff) * 1099511628211
			v >>= 8
		}
	}
	// FNV's high bits hardly move with the last bytes; the version uses the
	// highest eight. This is the finaliser of MurmurHash3.
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return rank(b.Kind)<<62 | (h^h>>33)>>2
}

// rank puts what was seen before what was made of it: a share is told by the
// beacon of a view that is there.
func rank(kind string) uint64 {
	switch kind {
	case View:
		return 2
	case Link:
		return 1
	}
	return 0
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
