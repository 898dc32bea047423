// Package lineagetest says what lineage has to come out as: recursive, over
// all births at once, with no thought of batches, as the contract words it.
//
// It is slow, and shares no code with the package it checks but the order of
// two births of one token. Nothing but tests may use it.
package lineagetest

import (
	"cmp"
	"slices"

	"github.com/passalong/passalong/collector/lineage"
)

// Define is the lineage of all births at once, of readers of whom some have
// consented, at whatever time.
func Define(births []lineage.Birth, consented map[lineage.Key]string) map[lineage.Key]lineage.Node {
	born := map[lineage.Key]lineage.Birth{}
	for _, b := range births {
		if id, given := consented[b.Key()]; given && b.Kind == lineage.View && b.Generation < 0 {
			b.Visitor = id
		}
		if w, twice := born[b.Key()]; !twice || b.Received < w.Received || b.Received == w.Received && lineage.Before(&b, &w) {
			born[b.Key()] = b
		}
	}
	edge := func(b lineage.Birth) (lineage.Birth, bool) { // to a known parent, cycles not yet looked at
		p, known := born[b.ViaKey()]
		ok := known && b.Kind != lineage.Link && b.Via != "" && b.Via != b.Token && p.Time-b.Time <= 10*60*1000
		return p, ok
	}
	oldestOfItsCycle := func(b lineage.Birth) bool {
		cycle := []lineage.Birth{b}
		for at := b; ; {
			p, ok := edge(at)
			if !ok || len(cycle) > len(born) {
				return false
			}
			if p == b {
				break
			}
			cycle, at = append(cycle, p), p
		}
		return b == slices.MinFunc(cycle, func(a, b lineage.Birth) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Received, b.Received), cmp.Compare(a.Token, b.Token))
		})
	}
	nodes := map[lineage.Key]lineage.Node{}
	var place func(b lineage.Birth) lineage.Node
	place = func(b lineage.Birth) lineage.Node {
		if n, done := nodes[b.Key()]; done {
			return n
		}
		n := lineage.Node{Birth: b, Origin: b.Token}
		_, known := born[b.ViaKey()]
		p, accepted := edge(b)
		switch {
		case b.Kind == lineage.Link || b.Via == "":
		case !known:
			n.Parent, n.Origin, n.Pending, n.Depth = b.Via, b.Via, true, 1
			if b.Kind == lineage.Share {
				n.Depth = 0
			}
		case !accepted || oldestOfItsCycle(b):
		default:
			parent := place(p)
			reader := p.Visitor
			if p.Kind == lineage.Share && parent.Parent != "" && !parent.Pending {
				reader = born[p.ViaKey()].Visitor
			}
			n.Parent, n.Origin, n.Depth = b.Via, parent.Origin, parent.Depth
			if b.Kind == lineage.View {
				same := p.Kind != lineage.Link && b.Visitor != "" && b.Visitor == reader
				kept := p.Kind == lineage.View && b.Plain && b.Time-p.Time >= 20*60*60*1000
				cohort := b.Generation >= 0 || p.Generation >= 0
				n.Return = b.Returned || !cohort && (same || kept)
				if !n.Return {
					n.Depth++
				}
			}
		}
		if b.Generation >= 0 {
			n.Depth = uint32(b.Generation)
		}
		nodes[b.Key()] = n
		return n
	}
	for _, b := range born {
		place(b)
	}
	return nodes
}
