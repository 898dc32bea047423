package loader

import (
	"cmp"
	"sync/atomic"
	"time"
)

// States of a loader, for a label.
const (
	stateStarting int32 = iota
	stateRecounting
	stateIdle
	stateLoading
	stateStopped
)

var stateNames = [...]string{"starting", "recounting", "idle", "loading", "stopped"}

// States lists what Stats.State can be.
var States = append(append([]string(nil), stateNames[:]...), stateWaiting)

// stateWaiting is any state in which ClickHouse does not let the loader go on.
const stateWaiting = "waiting"

// Stats is a look at the loader at one moment.
type Stats struct {
	State string // one of States

	Batches     uint64 // loaded, since the start
	Rows        uint64 // loaded into events
	Nodes       uint64 // written into lineage
	Texts       uint64 // written into texts
	Repaired    uint64 // nodes that a sweep decided anew
	Retries     uint64 // failed attempts
	Recounts    uint64 // batches whose rows were counted after something unclean
	Quarantined int    // rows set aside, also before this start

	Trouble     Class     // why it waits now, or ClassNone
	LastError   Class     // of the last failed attempt
	LastErrorAt time.Time // zero: none since the start

	Lag     time.Duration // age of the oldest event that waits, by its `received`; 0: none
	Awaited int64         // tokens that nodes wait for, as far as they are remembered

	Insert  Timing // events of a batch, with retries
	Lineage Timing // texts and nodes of a batch, with retries
}

// Timing sums up how long something took.
type Timing struct {
	Count int64
	Total time.Duration
	Last  time.Duration
}

type timing struct{ count, total, last atomic.Int64 }

func (t *timing) add(d time.Duration) {
	t.count.Add(1)
	t.total.Add(int64(d))
	t.last.Store(int64(d))
}

func (t *timing) look() Timing {
	return Timing{t.count.Load(), time.Duration(t.total.Load()), time.Duration(t.last.Load())}
}

type figures struct {
	state                                                                 atomic.Int32
	batches, rows, nodes, texts, repaired, retries, recounts, quarantined atomic.Uint64
	insert, lineage                                                       timing
}

// Stats costs a few mutexes and no disk.
func (l *Loader) Stats() Stats {
	f := &l.figures
	now, last, at := l.troubles[0].look()
	now2, last2, at2 := l.troubles[1].look()
	if at2.After(at) {
		last, at = last2, at2
	}
	now = cmp.Or(now, now2)
	s := Stats{
		State:       stateNames[f.state.Load()],
		Batches:     f.batches.Load(),
		Rows:        f.rows.Load(),
		Nodes:       f.nodes.Load(),
		Texts:       f.texts.Load(),
		Repaired:    f.repaired.Load(),
		Retries:     f.retries.Load(),
		Recounts:    f.recounts.Load(),
		Quarantined: l.quarantine.count(),
		Trouble:     now,
		LastError:   last,
		LastErrorAt: at,
		Awaited:     l.nodes.awaited.count.Load(),
		Insert:      f.insert.look(),
		Lineage:     f.lineage.look(),
	}
	if now != ClassNone && f.state.Load() != stateStopped {
		s.State = stateWaiting
	}
	if oldest := l.o.Spool.Stats().OldestReceived; oldest != 0 {
		s.Lag = max(0, time.Since(time.UnixMilli(oldest)))
	}
	return s
}
