package lineage_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/passalong/passalong/collector/lineage"
	"github.com/passalong/passalong/collector/lineage/lineagetest"
)

// births draws a small world in which everything collides: few tokens, few
// visitors, few moments, so that late parents, doubles, cycles, refusals and
// returns are the rule.
func births(t *rapid.T, atMost int) []lineage.Birth {
	start := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	tokens := rapid.IntRange(2, 14).Draw(t, "tokens")
	token := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("t%02d", rapid.IntRange(0, tokens-1).Draw(t, "n"))
	})
	// Around the two limits, on both sides and exactly.
	moment := rapid.SampledFrom([]int64{0, 1, 599_999, 600_000, 600_001, 1_200_000, lineage.Gap.Milliseconds() - 1, lineage.Gap.Milliseconds(), lineage.Gap.Milliseconds() + 600_000})
	quiet := rapid.Bool().Draw(t, "quiet") // most times equal: long chains and large cycles
	strict := rapid.Bool().Draw(t, "strict")
	one := rapid.Custom(func(t *rapid.T) lineage.Birth {
		b := lineage.Birth{
			Site:       rapid.SampledFrom([]string{"a.example", "a.example", "b.example"}).Draw(t, "site"),
			Token:      token.Draw(t, "token"),
			Kind:       rapid.SampledFrom([]string{lineage.View, lineage.View, lineage.View, lineage.Share, lineage.Share, lineage.Link}).Draw(t, "kind"),
			Received:   start + rapid.Int64Range(0, 5).Draw(t, "received"),
			Time:       start,
			Page:       rapid.SampledFrom([]string{"/1", "/2"}).Draw(t, "page"),
			Visitor:    rapid.SampledFrom([]string{"", "ann", "bob", "cyd", "dan", "eve"}).Draw(t, "visitor"),
			Returned:   rapid.IntRange(0, 5).Draw(t, "returned") == 0,
			Plain:      rapid.Bool().Draw(t, "plain"),
			Generation: -1,
		}
		if !quiet {
			b.Time += moment.Draw(t, "time")
		}
		if rapid.IntRange(0, 9).Draw(t, "rooted") > 0 {
			b.Via = token.Draw(t, "via")
		}
		if strict && rapid.IntRange(0, 3).Draw(t, "cohort") == 0 && b.Kind == lineage.View {
			b.Generation = int8(rapid.IntRange(0, 9).Draw(t, "generation"))
		}
		return b
	})
	return rapid.SliceOfN(one, 0, atMost).Draw(t, "births")
}

// A beacon is a birth or a consent.
type beacon struct {
	birth   *lineage.Birth
	consent *consent
}

// beacons draws births, and readers who consent early, late or never.
func beacons(t *rapid.T, atMost int) []beacon {
	var all []beacon
	for i, b := range births(t, atMost) {
		all = append(all, beacon{birth: &b})
		if rapid.IntRange(0, 2).Draw(t, "consents") > 0 {
			continue
		}
		of := rapid.SampledFrom([]string{b.Token, b.Token, b.Via}).Draw(t, "view")
		id := rapid.SampledFrom([]string{"ann", "bob", "CYD", "DAN"}).Draw(t, "id")
		// All received at different times, so that the first is the same in any order.
		all = append(all, beacon{consent: &consent{lineage.Consent{Site: b.Site, View: of}, id, i}})
	}
	return rapid.Permutation(all).Draw(t, "beacons")
}

func split(all []beacon) (births []lineage.Birth, given consents) {
	for _, one := range all {
		if one.birth != nil {
			births = append(births, *one.birth)
		} else {
			given = append(given, *one.consent)
		}
	}
	return births, given
}

func define(all []beacon) map[lineage.Key]lineage.Node {
	births, given := split(all)
	return lineagetest.Define(births, given.ids())
}

func (c *collector) take(some []beacon) lineage.Decision {
	births, given := split(some)
	return c.decide(births, given...)
}

// sameNodes compares without caring what is bookkeeping.
func sameNodes(t *rapid.T, when string, got table, want map[lineage.Key]lineage.Node) {
	t.Helper()
	places := got.places()
	for k, w := range want {
		g, exists := places[k]
		if !exists {
			t.Fatalf("%s: %v: no node, want %+v", when, k, w)
		}
		if g != w {
			t.Fatalf("%s: %v:\n got %+v\nwant %+v", when, k, g, w)
		}
	}
	if len(places) != len(want) {
		t.Fatalf("%s: %d nodes, want %d", when, len(places), len(want))
	}
}

// The heart of the package: after every batch the table holds what the
// recursive definition says of all births so far.
func TestEveryBatchLeavesTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := beacons(t, 40)
		stored, events := table{}, &consents{}
		c := newCollector(stored, events)
		for from := 0; from < len(all); {
			to := from + rapid.IntRange(1, 8).Draw(t, "batch")
			to = min(to, len(all))
			batch := all[from:to]
			if from > 0 && rapid.IntRange(0, 4).Draw(t, "again") == 0 {
				batch = all[max(0, from-3):to] // a batch loaded again after a crash
			}
			d := c.take(batch)
			for i := range d.Changed {
				n := &d.Changed[i]
				held, exists := stored[n.Key()]
				if n.Fixed {
					t.Fatalf("node %v was only to be looked at, and came back", n.Key())
				}
				if exists && undated(held) == undated(*n) {
					t.Fatalf("node %v came back unchanged", n.Key())
				}
				if exists && held.Version() >= n.Version() {
					t.Fatalf("node %v: version %d does not beat the stored %d", n.Key(), n.Version(), held.Version())
				}
			}
			stored.write(d.Changed)
			sameNodes(t, fmt.Sprintf("after births %d to %d", from, to), stored, define(all[:to]))
			from = to
		}
	})
}

// In whatever order and batches the births come, the same nodes are stored.
func TestOrderAndCutsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := beacons(t, 30)
		want := define(all)
		for _, name := range []string{"first", "second"} {
			stored, events := table{}, &consents{}
			c := newCollector(stored, events)
			order := rapid.Permutation(all).Draw(t, name+" order")
			for len(order) > 0 {
				cut := rapid.IntRange(1, len(order)).Draw(t, name+" cut")
				stored.write(c.take(order[:cut]).Changed)
				order = order[cut:]
			}
			sameNodes(t, name, stored, want)
		}
	})
}

// A crash may stop the writing anywhere. The batch is then loaded again, by a
// collector that has read anew what is awaited.
func TestWritingStopsHalfWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := beacons(t, 30)
		stored, events := table{}, &consents{}
		c := newCollector(stored, events)
		for from := 0; from < len(all); {
			to := min(from+rapid.IntRange(1, 8).Draw(t, "batch"), len(all))
			changed := c.take(all[from:to]).Changed
			if rapid.Bool().Draw(t, "crash") {
				stored.write(changed[:rapid.IntRange(0, len(changed)).Draw(t, "written")])
				c = newCollector(stored, events)
				for _, n := range stored {
					if n.Pending {
						c.awaited[n.ViaKey()] = true
					}
				}
				changed = c.take(all[from:to]).Changed
			}
			stored.write(changed)
			from = to
		}
		stored.write(c.sweep().Changed)
		sameNodes(t, "at the end", stored, define(all))
	})
}

// Two collectors write to one database and do not wait for each other: what
// one has read may be old when it writes. Their sweeps mend it.
func TestTwoCollectorsAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := beacons(t, 30)
		// The same token born at two collectors within one batch's time is
		// not mended (see the loader); a double meets its first collector.
		home := map[lineage.Key]int{}
		stored, events := table{}, &consents{}
		cs := []*collector{newCollector(stored, events), newCollector(stored, events)}
		var queue [2][]beacon
		for _, b := range all {
			at := rapid.IntRange(0, 1).Draw(t, "collector")
			if b.birth != nil { // a consent may come to the other one
				if first, exists := home[b.birth.Key()]; exists {
					at = first
				}
				home[b.birth.Key()] = at
			}
			queue[at] = append(queue[at], b)
		}
		var reading [2]*lineage.Decision
		for len(queue[0])+len(queue[1]) > 0 || reading[0] != nil || reading[1] != nil {
			at := rapid.IntRange(0, 1).Draw(t, "turn")
			switch {
			case reading[at] != nil:
				stored.write(reading[at].Changed)
				reading[at] = nil
			case len(queue[at]) > 0:
				cut := rapid.IntRange(1, min(6, len(queue[at]))).Draw(t, "batch")
				d := cs[at].take(queue[at][:cut])
				reading[at], queue[at] = &d, queue[at][cut:]
			case rapid.Bool().Draw(t, "sweep"):
				d := cs[at].sweep()
				reading[at] = &d
			}
		}
		for range 4 {
			stored.write(cs[0].sweep().Changed)
			stored.write(cs[1].sweep().Changed)
		}
		sameNodes(t, "at the end", stored, define(all))
	})
}

// Resolve alone, with everything stored as known, is the definition too, and
// a second time it has nothing to say.
func TestResolveOfEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := births(t, 40)
		stored := table{}
		stored.write(lineage.Resolve(all, nil))
		sameNodes(t, "at once", stored, lineagetest.Define(all, nil))
		var known []lineage.Node
		for n := range maps.Values(stored) {
			known = append(known, n)
		}
		if again := lineage.Resolve(all, known); len(again) > 0 {
			t.Fatalf("resolved again: %+v", again)
		}
	})
}
