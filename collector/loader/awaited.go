package loader

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/passalong/passalong/collector/lineage"
)

// mostAwaited bounds the set: 8 bytes a token and the map's own, some 40 MB.
const mostAwaited = 1_000_000

// awaited is the set of tokens that stored nodes wait for, so that a batch in
// which none of them is born costs no query. It is kept as hashes: two tokens
// with one hash cost a query too many.
//
// Beyond mostAwaited the older half is forgotten. Who waits for a forgotten
// token is found by the sweep.
type awaited struct {
	newer, older map[uint64]struct{}
	count        atomic.Int64 // of both, for Stats
}

var awaitedSeed = maphash.MakeSeed()

func awaitedHash(k lineage.Key) uint64 { return maphash.Comparable(awaitedSeed, k) }

func (a *awaited) known() bool { return a.newer != nil }

func (a *awaited) start() { a.newer = map[uint64]struct{}{} }

func (a *awaited) add(k lineage.Key) {
	if len(a.newer) >= mostAwaited/2 {
		a.newer, a.older = map[uint64]struct{}{}, a.newer
	}
	a.newer[awaitedHash(k)] = struct{}{}
	a.count.Store(int64(len(a.newer) + len(a.older)))
}

func (a *awaited) has(k lineage.Key) bool {
	h := awaitedHash(k)
	_, newer := a.newer[h]
	_, older := a.older[h]
	return newer || older
}

func (a *awaited) remove(k lineage.Key) {
	h := awaitedHash(k)
	delete(a.newer, h)
	delete(a.older, h)
	a.count.Store(int64(len(a.newer) + len(a.older)))
}
