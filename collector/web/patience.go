package web

import (
	"context"
	"sync/atomic"
	"time"
)

// share is how exact a time-out has to be: it may come later by one part of so
// many. What is thereby not made anew with each beacon, three deadlines of its
// connection and a context with its timer, costs 1.1 µs and three allocations
// (measured by themselves).
const share = 16

// patience is how long beacons wait for the disk. Those of one moment share a
// context, which ends when the last of them has waited long enough.
type patience struct {
	limit   time.Duration
	current atomic.Pointer[moment]
}

type moment struct {
	context.Context
	cancel context.CancelFunc // not called: the context ends soon enough by itself
	end    time.Time          // from here on the next one is given out
}

func newPatience(limit time.Duration) *patience { return &patience{limit: limit} }

// context ends after limit or a little more.
func (p *patience) context() context.Context {
	now := time.Now()
	m := p.current.Load()
	if m == nil || !now.Before(m.end) {
		// Of several that come here at once each has a good one, and one is kept.
		m = &moment{end: now.Add(p.limit / share)}
		m.Context, m.cancel = context.WithDeadline(context.Background(), now.Add(p.limit+p.limit/share))
		p.current.Store(m)
	}
	return m
}
