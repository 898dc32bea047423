package lineage

import (
	"math"
	"slices"
)

// Resolve takes births and the stored nodes that have to do with them, and
// returns the nodes that are new or whose decision changed, to be written.
//
// known must hold what is stored of the births' own tokens, of what they came
// by, of the views of shares they came by, and every node of each tree that
// may change; [Decide] gathers it. What a stored node hangs on may be missing
// from known only if it cannot have changed: the node then keeps its place.
//
// The order of the result is the one to write it in: stored nodes, what is
// furthest below a change first, then births, parents first. If the writing
// stops anywhere, the next attempt finds what is left: a stored node that is
// not yet decided anew still waits, or hangs in the tree it was found by, and
// a birth is never stored before what it hangs on.
func Resolve(births []Birth, known []Node) []Node {
	return resolve(births, known, nil).changed()
}

// resolve decides under the consented ids; births have them already.
func resolve(births []Birth, known []Node, consented map[Key]string) *forest {
	f := newForest(births, known, consented)
	f.link()
	f.cutCycles()
	f.place()
	return f
}

// What an edge is when it is not the index of a parent.
const (
	none   = -1 // a root: no via, or a refused one
	await  = -2 // the parent is not known
	stands = -3 // not decided here: keeps its stored place
)

// forest is the working set. The slices run in parallel.
type forest struct {
	nodes  []Node
	stored []int32 // index in known, −1 for a token not yet stored
	fresh  []bool  // this birth has no stored decision: new, or an earlier one came to light
	edge   []int32
	steps  []int32 // edges up to where the walk of place ended
	index  map[Key]int32
	known  []Node
}

func newForest(births []Birth, known []Node, consented map[Key]string) *forest {
	size := len(births) + len(known)
	f := &forest{
		nodes:  make([]Node, 0, size),
		stored: make([]int32, 0, size),
		fresh:  make([]bool, 0, size),
		index:  make(map[Key]int32, size),
		known:  known,
	}
	for k := range known {
		n := &known[k]
		i, twice := f.index[n.Key()]
		switch {
		case !twice:
			f.add(*n, int32(k), false)
		case f.nodes[i].Fixed && !n.Fixed, f.nodes[i].Fixed == n.Fixed && n.Version() > f.nodes[i].Version():
			// Given both as a parent and in a tree: the tree's copy is whole.
			f.nodes[i], f.stored[i] = *n, int32(k)
		}
	}
	if len(consented) > 0 {
		for i := range f.nodes {
			f.nodes[i].consent(consented)
		}
	}
	for b := range births {
		i, exists := f.index[births[b].Key()]
		switch {
		case !exists:
			f.add(Node{Birth: births[b]}, -1, true)
		case Before(&births[b], &f.nodes[i].Birth):
			f.nodes[i] = Node{Birth: births[b]}
			f.fresh[i] = true
		}
	}
	return f
}

func (f *forest) add(n Node, stored int32, fresh bool) {
	f.index[n.Key()] = int32(len(f.nodes))
	f.nodes = append(f.nodes, n)
	f.stored = append(f.stored, stored)
	f.fresh = append(f.fresh, fresh)
}

// link finds each node's parent, or why it has none.
func (f *forest) link() {
	f.edge = make([]int32, len(f.nodes))
	for i := range f.nodes {
		f.edge[i] = f.parentOf(i)
	}
}

func (f *forest) parentOf(i int) int32 {
	n := &f.nodes[i]
	switch {
	case n.Fixed:
		return stands
	case !n.hangs() || n.Via == n.Token:
		return none
	}
	p, found := f.index[n.ViaKey()]
	switch {
	case !found && f.fresh[i]:
		return await
	case !found:
		return stands
	case f.nodes[p].Time > n.Time+Slack.Milliseconds():
		return none
	}
	return p
}

// cutCycles takes the edge of the oldest member of each cycle, so that it
// does not matter who closed it. Every node has at most one edge, so a walk
// along the edges meets itself or ends.
func (f *forest) cutCycles() {
	walk := make([]int32, len(f.nodes)) // number of the walk that came by
	for i := range f.nodes {
		at := int32(i)
		for at >= 0 && walk[at] == 0 {
			walk[at] = int32(i) + 1
			at = f.edge[at]
		}
		if at < 0 || walk[at] != int32(i)+1 {
			continue
		}
		oldest := at
		for m := f.edge[at]; m != at; m = f.edge[m] {
			if f.older(m, oldest) {
				oldest = m
			}
		}
		f.edge[oldest] = none
	}
}

func (f *forest) older(i, j int32) bool {
	a, b := &f.nodes[i], &f.nodes[j]
	if a.Time != b.Time {
		return a.Time < b.Time
	}
	if a.Received != b.Received {
		return a.Received < b.Received
	}
	return a.Token < b.Token
}

// place gives every node its origin and depth, parents first. It walks up and
// back with a path of its own: a chain may be longer than a stack is deep.
func (f *forest) place() {
	f.steps = make([]int32, len(f.nodes))
	placed := make([]bool, len(f.nodes))
	var path []int32
	for i := range f.nodes {
		for at := int32(i); at >= 0 && !placed[at]; at = f.edge[at] {
			path = append(path, at)
		}
		for len(path) > 0 {
			at := path[len(path)-1]
			path = path[:len(path)-1]
			f.decide(at)
			if p := f.edge[at]; p >= 0 {
				f.steps[at] = f.steps[p] + 1
			}
			placed[at] = true
		}
	}
}

// decide states one node's place; its parent's is already decided.
func (f *forest) decide(i int32) {
	n := &f.nodes[i]
	switch p := f.edge[i]; p {
	case stands:
		return
	case none:
		n.Parent, n.Origin, n.Depth, n.Return, n.Pending = "", n.Token, 0, false, false
	case await:
		n.Parent, n.Origin, n.Depth, n.Return, n.Pending = n.Via, n.Via, 1, false, true
		if n.Kind == Share {
			n.Depth = 0 // the unknown view stands for a root, and a share has its view's depth
		}
	default:
		parent := &f.nodes[p]
		n.Parent, n.Origin, n.Depth, n.Pending = n.Via, parent.Origin, parent.Depth, false
		n.Return = f.isReturn(n, p)
		if n.Kind != Share && !n.Return && n.Depth < math.MaxUint32 {
			n.Depth++
		}
	}
	if n.Generation >= 0 {
		n.Depth = uint32(n.Generation)
	}
}

// isReturn says whether an arrival is the reader of its parent again.
func (f *forest) isReturn(n *Node, p int32) bool {
	parent := &f.nodes[p]
	switch {
	case n.Kind != View:
		return false
	case n.Returned:
		return true
	case n.Generation >= 0 || parent.Generation >= 0:
		return false // a cohort names nobody: only the browser can know
	case parent.Kind == Link:
		return false // made by the site, not by a reader
	case n.Visitor != "" && n.Visitor == f.reader(p):
		return true
	}
	return parent.Kind == View && n.Plain && n.Time-parent.Time >= Gap.Milliseconds()
}

// reader is the visitor behind a view or share. A share has the visitor of
// the view that made it; while that view is unknown or refused, its own.
func (f *forest) reader(i int32) string {
	n := &f.nodes[i]
	if n.Kind != Share {
		return n.Visitor
	}
	view := f.edge[i]
	if view == stands && n.Parent != "" {
		if v, found := f.index[Key{n.Site, n.Parent}]; found {
			view = v
		}
	}
	if view >= 0 {
		return f.nodes[view].Visitor
	}
	return n.Visitor
}

// changed collects what has to be written, in the order Resolve promises.
func (f *forest) changed() []Node {
	var anew, births []int32
	for i := range f.nodes {
		n := &f.nodes[i]
		switch s := f.stored[i]; {
		case n.Fixed:
		case f.fresh[i]:
			if s >= 0 {
				f.raise(n, &f.known[s])
			}
			births = append(births, int32(i))
		case !sameDecision(n, &f.known[s]):
			n.Revision = min(f.known[s].Revision+1, maxRevision)
			anew = append(anew, int32(i))
		}
	}
	changed := make([]Node, 0, len(anew)+len(births))
	for _, i := range slices.Backward(f.bySteps(anew)) {
		changed = append(changed, f.nodes[i])
	}
	for _, i := range f.bySteps(births) {
		changed = append(changed, f.nodes[i])
	}
	return changed
}

// crossed adds the trees that hang on nodes decided here without being here.
// An origin is a root, so a fixed node whose origin is no root by now was
// stored by a decision that was written in part or from what was old. Its
// tree may close a cycle with what is decided here.
func (f *forest) crossed(trees map[Key]bool) {
	for i := range f.nodes {
		n := &f.nodes[i]
		if !n.Fixed {
			continue
		}
		origin := Key{n.Site, n.Origin}
		if o, here := f.index[origin]; here && !f.nodes[o].Fixed && f.nodes[o].Parent != "" {
			trees[origin] = true
		}
	}
}

// raise makes a birth that replaces a stored one beat it in the table, also
// when both came in the same millisecond and share the version's eight bits
// of content.
func (f *forest) raise(n, old *Node) {
	if n.Version()&^maxRevision == old.Version()&^maxRevision {
		n.Revision = min(old.Revision+1, maxRevision)
	}
}

// bySteps sorts nodes by how far they are below where the walk of place ended.
func (f *forest) bySteps(nodes []int32) []int32 {
	if len(nodes) == 0 {
		return nil
	}
	most := int32(0)
	for _, i := range nodes {
		most = max(most, f.steps[i])
	}
	start := make([]int32, most+2)
	for _, i := range nodes {
		start[f.steps[i]+1]++
	}
	for s := range most {
		start[s+1] += start[s]
	}
	sorted := make([]int32, len(nodes))
	for _, i := range nodes {
		s := f.steps[i]
		sorted[start[s]] = i
		start[s]++
	}
	return sorted
}
