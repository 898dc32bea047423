// Package loader carries batches from the spool into ClickHouse: events,
// counted; then the texts that few may read, and the lineage decided from the
// batch's births, both idempotent.
//
// A caller can rely on this. An event that the spool holds becomes one row of
// `events`, once, whatever dies in between: collector, engine, connection. Its
// view, share or link becomes one node. Run goes on for ever; what ClickHouse
// answers is a reason to wait, not to give up. Flush returns when everything
// appended before it can be read, lineage repaired.
//
// Not promised: that nodes are there in the same moment as events; they follow
// by one batch. Nor that two different births of one token at two collectors
// within the same second, and what was hung below them in that second, are
// mended before that tree is decided anew for another reason. Nor that a consent
// which one collector loads more than five minutes before another meets the
// view is seen there, if it is its site's first and its day is long past.
//
// What surprises: the loader counts rows and does not trust the deduplication
// of inserts. ClickHouse writes the deduplication log before it renames the
// part and never syncs it, so that a repeated insert can be dropped or doubled
// after a crash. Every attempt therefore has a token of its own, and after
// anything but a clean first success the rows of the batch are counted.
package loader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/passalong/passalong/collector/erase"
	"github.com/passalong/passalong/collector/spool"
)

// Database is what the loader needs of store.DB.
type Database interface{ Conn() driver.Conn }

// Options of a loader. Spool and DB are needed.
type Options struct {
	Spool *spool.Spool
	DB    Database

	// Generation counts the starts of an embedded engine. When it changes, the
	// newest batches are counted again. nil: a server of its own.
	Generation func() int
	// Alone says that no other collector writes to this database, as with an
	// embedded engine: nothing is then looked at twice for another's sake.
	Alone bool
	// Cluster is the name of the ClickHouse cluster, empty for one server.
	Cluster string

	FlushInterval time.Duration // a batch is loaded this long after its first event; 1 s
	FlushRows     int           // or when it has this many rows; 50,000

	// Sync makes what the engine has written durable: syncfs of the data
	// directory. Loaded events stay in the spool until it has returned. nil: a
	// server that keeps its own disk.
	Sync func() error
	Keep time.Duration // loaded events stay at least this long; 1 min

	// Retention returns the moment before which nothing is loaded: the months
	// that were dropped. nil: nothing is too old.
	Retention func() time.Time

	// Quarantine is a directory for rows that ClickHouse refuses. Empty: such a
	// row holds the loader up, as a server's state does.
	Quarantine string

	SweepInterval time.Duration // between two looks for parents born unnoticed; 1 min
	Attempt       time.Duration // limit of one statement, after which its outcome is unknown; 1 min
	StopLimit     time.Duration // what the batch in hand gets when ctx ends; 10 s
	Logger        *slog.Logger  // nil: nothing is logged
}

func (o *Options) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.FlushInterval, time.Second)
	set(&o.Keep, time.Minute)
	set(&o.SweepInterval, time.Minute)
	set(&o.Attempt, time.Minute)
	set(&o.StopLimit, 10*time.Second)
	if o.FlushRows <= 0 {
		o.FlushRows = 50_000
	}
	if o.Generation == nil {
		o.Generation = func() int { return 0 }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// A Loader has two stages, each one goroutine of Run:
//
//	spool.Next ──► events, counted ──► spool.Done ──► texts, lineage ──► spool.Release
//	               └────── stage one ───────────┘    └───── stage two, a batch behind ┘
//
// A batch that is done and not yet settled in stage two is one of
// spool.Loaded, and goes through both stages again at the next start.
type Loader struct {
	o          Options
	nodes      *nodes
	quarantine *quarantine
	figures    figures
	troubles   [2]trouble // of each stage
	orders     [2]orders  // of each stage
	obeyed     erase.Mark // of the orders that stage two has carried out
	dropped    int64      // and what was too old then

	refused int // rows set aside since one was taken; of stage one

	settle  chan settling // from stage one to stage two
	sweeps  chan sweeping // from Flush to stage two
	stopped chan struct{} // closed when Run has returned

	mu      sync.Mutex
	hurry   uint64             // rows below are to be loaded without waiting
	poke    context.CancelFunc // ends the wait for the next batch
	settled uint64             // rows below are in every table
	news    chan struct{}      // closed and replaced when settled moves
	kept    []keeping          // what waits to be released, oldest first
	round   int                // number of the last recount
	counted int                // number of the last one that is over: nothing is released between

	releasing sync.Mutex // held while something is released; taken before mu

	hasten   time.Time // what was settled before need not be kept
	unsynced error     // why the last release was put off
}

// A settling is a batch whose events are counted. Without a batch it says
// that everything before `to` is settled.
type settling struct {
	batch *digest
	to    uint64
	round int // of the recount that this ends, where batch is nil
}

// A sweeping is answered when the sweep is over.
type sweeping chan error

type keeping struct {
	to    uint64
	since time.Time
}

// New makes a loader; Run does its work.
func New(o Options) (*Loader, error) {
	o.defaults()
	l := &Loader{
		o:       o,
		settle:  make(chan settling, 1),
		sweeps:  make(chan sweeping),
		stopped: make(chan struct{}),
		news:    make(chan struct{}),
	}
	var err error
	if l.quarantine, err = openQuarantine(o.Quarantine); err != nil {
		return nil, fmt.Errorf("open quarantine: %w", err)
	}
	l.nodes = newNodes(o.DB, o.Attempt, o.Alone)
	for i := range l.orders {
		l.orders[i] = orders{db: o.DB, cluster: o.Cluster, attempt: o.Attempt, retention: o.Retention}
	}
	l.troubles[0].log, l.troubles[1].log = o.Logger, o.Logger
	return l, nil
}

// Run loads until ctx ends. The batch in hand is then finished within
// StopLimit or left: its cut is durable, and the next start goes on with it.
// An error means that the spool has failed or is damaged. Run once.
func (l *Loader) Run(ctx context.Context) error {
	defer close(l.stopped)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	// Statements end with work, waits end with ctx.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	over := context.AfterFunc(ctx, func() {
		limit := time.NewTimer(l.o.StopLimit)
		defer limit.Stop()
		select {
		case <-limit.C:
			stop()
		case <-work.Done():
		}
	})
	defer over()
	one := retrier{wait: ctx, work: work, trouble: &l.troubles[0], figures: &l.figures}
	two := one
	two.trouble = &l.troubles[1]

	var stages sync.WaitGroup
	stages.Go(func() {
		defer close(l.settle)
		fail(l.load(one))
	})
	stages.Go(func() {
		fail(l.finish(two))
		for range l.settle { // else stage one could not end
		}
	})
	stages.Wait()
	l.figures.state.Store(stateStopped)
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// load is stage one. It returns nil only when the wait is over.
func (l *Loader) load(r retrier) error {
	generation := -1
	for r.wait.Err() == nil {
		if g := l.o.Generation(); g != generation {
			generation = g
			if err := l.recount(r); err != nil {
				return stopping(err)
			}
			continue
		}
		b, err := l.next(r.wait, generation)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		l.figures.state.Store(stateLoading)
		d, err := l.store(r, b)
		if err != nil {
			return stopping(err)
		}
		if err := l.o.Spool.Done(b); err != nil {
			return fmt.Errorf("batch at row %d: %w", b.From, err)
		}
		l.figures.batches.Add(1)
		l.figures.rows.Add(b.Rows())
		if !l.pass(r, settling{batch: d, to: b.To}) {
			return nil
		}
		l.figures.state.Store(stateIdle)
	}
	return nil
}

// recount makes sure of every batch that is loaded and not released.
func (l *Loader) recount(r retrier) error {
	l.figures.state.Store(stateRecounting)
	// What was about to be released is not known to be there, and what is read
	// again must not be released meanwhile.
	l.releasing.Lock()
	l.mu.Lock()
	l.kept = nil
	l.round++
	round := l.round
	l.mu.Unlock()
	l.releasing.Unlock()
	for _, loaded := range l.o.Spool.Loaded() {
		b, err := l.o.Spool.Read(loaded)
		if err != nil {
			return fmt.Errorf("recount: %w", err)
		}
		b.Again = true
		d, err := l.store(r, b)
		if err != nil {
			return err
		}
		if !l.pass(r, settling{batch: d, to: b.To}) {
			return errStopping
		}
	}
	if !l.pass(r, settling{to: l.o.Spool.Stats().Mark, round: round}) {
		return errStopping
	}
	l.figures.state.Store(stateIdle)
	return nil
}

// next waits for a batch; nil when there is something else to look at.
func (l *Loader) next(ctx context.Context, generation int) (*spool.Batch, error) {
	waiting, poke := context.WithCancel(ctx)
	defer poke()
	l.mu.Lock()
	wait := l.o.FlushInterval
	if l.hurry > l.o.Spool.Stats().Mark {
		wait = 0
	}
	l.poke = poke
	l.mu.Unlock()
	if l.o.Generation() != generation { // else a change before poke was there would wait for the next event
		return nil, nil
	}
	b, err := l.o.Spool.Next(waiting, l.o.FlushRows, wait)
	if err != nil && waiting.Err() != nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("next batch: %w", err)
	}
	return b, nil
}

// pass hands a batch to stage two and says whether it did.
func (l *Loader) pass(r retrier, s settling) bool {
	select {
	case l.settle <- s:
		return true
	case <-r.work.Done():
		return false
	}
}

// finish is stage two.
func (l *Loader) finish(r retrier) error {
	tick := time.NewTicker(min(time.Second, l.o.SweepInterval))
	defer tick.Stop()
	swept := time.Now()
	for {
		select {
		case s, more := <-l.settle:
			if !more {
				return nil
			}
			if s.batch != nil {
				if err := l.settleBatch(r, s.batch); err != nil {
					return stopping(err)
				}
			}
			l.moveSettled(s)
		case answer := <-l.sweeps:
			answer <- l.sweep(r)
			swept = time.Now()
		case <-tick.C:
			if l.o.Generation() != l.nodes.generation {
				l.nodes.generation = l.o.Generation()
				l.interrupt()
			}
			if time.Since(swept) >= l.o.SweepInterval {
				if err := l.sweep(r); err != nil {
					return stopping(err)
				}
				swept = time.Now()
			}
			if err := l.release(); err != nil {
				return err
			}
		}
	}
}

func (l *Loader) moveSettled(s settling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.batch != nil {
		l.kept = append(l.kept, keeping{s.to, time.Now()})
	} else {
		l.counted = s.round
	}
	if s.to > l.settled || s.batch == nil {
		l.settled = max(l.settled, s.to)
		close(l.news)
		l.news = make(chan struct{})
	}
}

// release gives up the loaded events that are old enough and on disk.
func (l *Loader) release() error {
	l.releasing.Lock()
	defer l.releasing.Unlock()
	l.mu.Lock()
	if l.counted != l.round {
		l.mu.Unlock()
		return nil
	}
	n := 0
	for n < len(l.kept) && (time.Since(l.kept[n].since) >= l.o.Keep || !l.kept[n].since.After(l.hasten)) {
		n++
	}
	old := l.kept[:n:n]
	l.mu.Unlock()
	if n == 0 {
		return nil
	}
	if l.o.Sync != nil {
		err := l.o.Sync()
		l.mu.Lock()
		l.unsynced = err
		l.mu.Unlock()
		if err != nil {
			// Nothing is lost: the spool keeps them, and says so when it is full.
			l.o.Logger.Warn("loaded events are kept: the data directory cannot be synced", "error", err)
			return nil
		}
	}
	if err := l.o.Spool.Release(old[n-1].to); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	l.mu.Lock()
	// A recount may have emptied it meanwhile.
	if len(l.kept) >= n && l.kept[0] == old[0] {
		l.kept = l.kept[n:]
	}
	close(l.news)
	l.news = make(chan struct{})
	l.mu.Unlock()
	return nil
}

// interrupt ends stage one's wait for the next batch.
func (l *Loader) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poke != nil {
		l.poke()
	}
}

// Flush returns when every event appended before the call is in every table,
// and edges whose parent was born unnoticed are repaired. It needs Run.
func (l *Loader) Flush(ctx context.Context) error {
	target := l.o.Spool.Stats().NextRow
	l.mu.Lock()
	l.hurry = max(l.hurry, target)
	l.mu.Unlock()
	l.interrupt()
	for {
		l.mu.Lock()
		settled, news := l.settled, l.news
		l.mu.Unlock()
		if settled >= target && (settled > 0 || l.figures.state.Load() != stateStarting) {
			break
		}
		select {
		case <-news:
		case <-l.stopped:
			return errNotRunning
		case <-ctx.Done():
			return fmt.Errorf("flush: wait for row %d: %w", target, ctx.Err())
		}
	}
	answer := make(sweeping, 1)
	select {
	case l.sweeps <- answer:
	case <-l.stopped:
		return errNotRunning
	case <-ctx.Done():
		return fmt.Errorf("flush: wait for the sweep: %w", ctx.Err())
	}
	select {
	case err := <-answer:
		if err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush: wait for the sweep: %w", ctx.Err())
	}
}

var (
	errNotRunning = errors.New("flush: the loader has stopped")
	errStopping   = errors.New("loader is stopping")
)

// stopping makes the end of the wait no error.
func stopping(err error) error {
	if errors.Is(err, errStopping) {
		return nil
	}
	return err
}
