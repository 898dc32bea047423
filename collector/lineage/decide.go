package lineage

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
)

// Store is what Decide and Repair look at.
type Store interface {
	// Look returns what is stored of these tokens, each node Fixed.
	Look(ctx context.Context, keys []Key) ([]Node, error)
	// Nodes returns whole nodes, in any order.
	Nodes(ctx context.Context, by By, keys []Key) ([]Node, error)
	// Awaited says whether stored nodes wait for this token (Pending). A true
	// too many costs a look; one too few is left to Repair.
	Awaited(key Key) bool
	// Consented returns the consented ids of these views, as far as they have
	// one: of each the one that was received first. What is not yet stored as
	// a node counts too.
	Consented(ctx context.Context, views []Consent) (map[Key]string, error)
}

// By says what the keys of Store.Nodes are compared with.
type By int

const (
	ByToken  By = iota // the nodes of these tokens
	ByOrigin           // every node of these trees
	ByVia              // what came by one of these tokens, accepted or refused
)

// Decision is what came out, and what to look at once more.
type Decision struct {
	// Changed are the nodes to write, in this order.
	Changed []Node
	// Again is what to give to Repair later.
	Again Doubt
}

// Doubt is what another collector may have built on between the reading and
// the writing of a decision.
type Doubt struct {
	Trees    []Key // trees decided anew: a node may have been hung into one by its old origin
	Tokens   []Key // stored nodes decided anew, perhaps from what was old by then
	Replaced []Key // tokens of which an earlier birth came to light: a node may have been hung below the later one

	Consents []Consent // a view may have been born unnoticed, or written again under the visitor it had before
}

// Add joins another doubt to this one.
func (d *Doubt) Add(other Doubt) {
	d.Trees = append(d.Trees, other.Trees...)
	d.Tokens = append(d.Tokens, other.Tokens...)
	d.Replaced = append(d.Replaced, other.Replaced...)
	d.Consents = append(d.Consents, other.Consents...)
}

// Size counts the keys; 0 means that there is nothing to repair.
func (d *Doubt) Size() int {
	return len(d.Trees) + len(d.Tokens) + len(d.Replaced) + len(d.Consents)
}

// Decide gathers what a batch of births and consents touches and resolves it.
//
// A batch without late parents and without earlier births costs one Look, and
// a second one when somebody came by a share.
func Decide(ctx context.Context, store Store, births []Birth, consents []Consent) (Decision, error) {
	g := newGathering(store)
	births, err := g.consent(ctx, births, consents)
	if err != nil {
		return Decision{}, err
	}
	first := winners(births)

	keys := make([]Key, 0, 2*len(first))
	for i := range births {
		b := &births[i]
		if first[b.Key()] != b {
			continue
		}
		keys = append(keys, b.Key())
		if b.hangs() {
			keys = append(keys, b.ViaKey())
		}
	}
	g.seen = make(map[Key]bool, len(keys))
	if err := g.rename(ctx, keys); err != nil {
		return Decision{}, err
	}

	for key := range first {
		if store.Awaited(key) {
			g.trees[key] = true
		}
	}
	replaced, err := g.replaced(ctx, first)
	if err != nil {
		return Decision{}, err
	}
	fresh := make([]Birth, 0, len(first))
	for i := range births { // in the order they came, so that equal batches give equal results
		if b := first[births[i].Key()]; b == &births[i] {
			fresh = append(fresh, *b)
		}
	}
	return g.resolve(ctx, fresh, replaced)
}

// Repair decides anew what is in doubt: what an earlier decision left there,
// and trees whose origin was born unnoticed, by another collector at the same
// time or just before a crash.
//
// What comes back in Again need be repaired only if something changed.
func Repair(ctx context.Context, store Store, doubt Doubt) (Decision, error) {
	g := newGathering(store)
	for _, o := range doubt.Trees {
		g.trees[o] = true
	}
	if len(doubt.Tokens) > 0 {
		nodes, err := store.Nodes(ctx, ByToken, doubt.Tokens)
		if err != nil {
			return Decision{}, err
		}
		g.add(nodes)
	}
	if _, err := g.consent(ctx, nil, doubt.Consents); err != nil {
		return Decision{}, err
	}
	if err := g.rename(ctx, nil); err != nil {
		return Decision{}, err
	}
	return g.resolve(ctx, nil, doubt.Replaced)
}

// winners keeps of each token the birth that holds.
func winners(births []Birth) map[Key]*Birth {
	first := make(map[Key]*Birth, len(births))
	for i := range births {
		b := &births[i]
		if w, exists := first[b.Key()]; !exists || Before(b, w) {
			first[b.Key()] = b
		}
	}
	return first
}

// gathering is the working set as it grows.
type gathering struct {
	store  Store
	known  []Node
	seen   map[Key]bool // asked for or loaded
	trees  map[Key]bool // trees that may change
	loaded map[Key]bool // those of them that are in known

	consents  []Consent      // what Again has to name
	consented map[Key]string // views and their consented ids
}

func newGathering(store Store) *gathering {
	return &gathering{store: store, seen: map[Key]bool{}, trees: map[Key]bool{}, loaded: map[Key]bool{}}
}

// consent asks for the consented ids of views and returns the births under
// them: a consent may have come before its view.
func (g *gathering) consent(ctx context.Context, births []Birth, consents []Consent) ([]Birth, error) {
	g.consents = consents
	asked := slices.Clone(consents)
	for i := range births {
		if b := &births[i]; b.Kind == View && b.Generation < 0 {
			asked = append(asked, Consent{b.Site, b.Token, b.Day})
		}
	}
	if len(asked) == 0 {
		return births, nil
	}
	var err error
	if g.consented, err = g.store.Consented(ctx, asked); err != nil || len(g.consented) == 0 {
		return births, err
	}
	births = slices.Clone(births) // the caller's are read again for another attempt
	for i := range births {
		births[i].consent(g.consented)
	}
	return births, nil
}

// consent gives a view the id it consented under. A share keeps its beacon's
// visitor: who made it is asked of its view. A cohort names nobody.
func (b *Birth) consent(consented map[Key]string) {
	if b.Kind != View || b.Generation >= 0 {
		return
	}
	if id := consented[b.Key()]; id != "" {
		b.Visitor = id
	}
}

// rename looks at keys and at the views with a consented id, and marks the
// trees of those that go by another visitor from now on. All that depends on
// it came by the view or by its shares, and so has the view's origin.
func (g *gathering) rename(ctx context.Context, keys []Key) error {
	if err := g.look(ctx, append(keys, sorted(g.consented)...)); err != nil {
		return err
	}
	for i := range g.known {
		b := g.known[i].Birth
		if b.consent(g.consented); b.Visitor != g.known[i].Visitor {
			g.trees[Key{b.Site, g.known[i].Origin}] = true
		}
	}
	return nil
}

func (g *gathering) add(nodes []Node) {
	for i := range nodes {
		g.seen[nodes[i].Key()] = true
	}
	g.known = append(g.known, nodes...)
}

// look asks for those keys that were not asked for. It uses their memory.
func (g *gathering) look(ctx context.Context, keys []Key) error {
	keys = slices.DeleteFunc(keys, func(k Key) bool {
		seen := g.seen[k]
		g.seen[k] = true
		return seen
	})
	if len(keys) == 0 {
		return nil
	}
	nodes, err := g.store.Look(ctx, keys)
	g.known = append(g.known, nodes...)
	return err
}

// resolve loads what may change and what that hangs on, and decides. It does
// so again as long as a decision leads into a tree that was not looked at,
// which happens only where the stored nodes were in doubt.
func (g *gathering) resolve(ctx context.Context, births []Birth, replaced []Key) (Decision, error) {
	if len(replaced) > 0 {
		// Whom the later birth refused, the earlier may take.
		below, err := g.store.Nodes(ctx, ByVia, replaced)
		if err != nil {
			return Decision{}, err
		}
		for i := range below {
			g.trees[Key{below[i].Site, below[i].Origin}] = true
		}
	}
	for {
		if err := g.loadTrees(ctx); err != nil {
			return Decision{}, err
		}
		if err := g.complete(ctx, births); err != nil {
			return Decision{}, err
		}
		f := resolve(births, g.known, g.consented)
		changed := f.changed()
		again := Doubt{Trees: sorted(g.trees), Replaced: replaced, Consents: g.consents}
		for i := range changed {
			n := &changed[i]
			if s := f.stored[f.index[n.Key()]]; s >= 0 {
				again.Tokens = append(again.Tokens, n.Key())
				g.trees[Key{n.Site, g.known[s].Origin}] = true
			}
		}
		f.crossed(g.trees)
		if len(g.trees) == len(g.loaded) {
			return Decision{Changed: changed, Again: again}, nil
		}
	}
}

func (g *gathering) loadTrees(ctx context.Context) error {
	missing := maps.Clone(g.trees)
	maps.DeleteFunc(missing, func(k Key, _ bool) bool { return g.loaded[k] })
	if len(missing) == 0 {
		return nil
	}
	maps.Copy(g.loaded, missing)
	nodes, err := g.store.Nodes(ctx, ByOrigin, sorted(missing))
	g.add(nodes)
	return err
}

// replaced finds the stored tokens of which an earlier birth is among these,
// and their trees. It takes out of first what is stored already or comes too
// late.
func (g *gathering) replaced(ctx context.Context, first map[Key]*Birth) ([]Key, error) {
	var unsure []Key
	for i := range g.known {
		stored := &g.known[i]
		b, exists := first[stored.Key()]
		switch {
		case !exists:
		case b.Received > stored.Received:
			delete(first, stored.Key())
		default:
			unsure = append(unsure, stored.Key())
		}
	}
	if len(unsure) == 0 {
		return nil, nil
	}
	nodes, err := g.store.Nodes(ctx, ByToken, unsure)
	if err != nil {
		return nil, err
	}
	var replaced []Key
	for i := range nodes {
		n := &nodes[i]
		if !Before(first[n.Key()], &n.Birth) {
			delete(first, n.Key())
			continue
		}
		g.known = append(g.known, *n)
		replaced = append(replaced, n.Key())
		g.trees[Key{n.Site, n.Origin}] = true
	}
	return replaced, nil
}

// complete looks up what nodes that are decided here hang on, and the views
// of shares among those: a share stands for its view's reader.
func (g *gathering) complete(ctx context.Context, births []Birth) error {
	for done := 0; ; {
		var missing []Key
		want := func(b *Birth) {
			if b.hangs() && !g.seen[b.ViaKey()] {
				missing = append(missing, b.ViaKey())
			}
		}
		if done == 0 {
			for i := range births {
				want(&births[i])
			}
		}
		for ; done < len(g.known); done++ {
			if n := &g.known[done]; !n.Fixed || n.Kind == Share {
				want(&n.Birth)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if err := g.look(ctx, missing); err != nil {
			return err
		}
		if done == len(g.known) {
			return nil
		}
	}
}

// sorted makes lists that do not depend on a map's order: text order is time
// order, which is the table's.
func sorted[V any](keys map[Key]V) []Key {
	list := slices.AppendSeq(make([]Key, 0, len(keys)), maps.Keys(keys))
	slices.SortFunc(list, func(a, b Key) int {
		return cmp.Or(strings.Compare(a.Site, b.Site), strings.Compare(a.Token, b.Token))
	})
	return list
}
