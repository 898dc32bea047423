package loader

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/passalong/passalong/collector/erase"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/spool"
)

// orders say which rows of a batch are not to be in the tables: those of an
// order to erase, and those of months that the retention has dropped. Each
// stage has its own.
//
// What keeps an erased row away, whoever writes when: an attempt reads the
// orders before it sends anything, and looks after its success whether there
// is a new one. If there is none, its rows were stored before that order was
// written, and the order's deletion finds them; if there is one, the attempt
// is counted again under it. A crash before the second look leaves a batch
// that is not done and is counted at the next start.
type orders struct {
	db        Database
	cluster   string
	attempt   time.Duration
	retention func() time.Time // nil: nothing is too old

	mark   erase.Mark
	all    []erase.Order
	set    erase.Set
	oldest int64 // Unix milliseconds; what happened before has been dropped
}

// load reads the orders afresh: one small query where there is no new one.
func (o *orders) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, o.attempt)
	defer cancel()
	if o.retention != nil {
		o.oldest = o.retention().UnixMilli()
	}
	mark, err := erase.Look(ctx, o.db.Conn())
	if err != nil {
		return fmt.Errorf("read erase orders: %w", err)
	}
	if mark == o.mark {
		return nil
	}
	all, err := erase.Read(ctx, o.db.Conn())
	if err != nil {
		return fmt.Errorf("read erase orders: %w", err)
	}
	// An order that came between the two is read, and makes the next look differ.
	o.mark, o.all, o.set = mark, all, erase.NewSet(all)
	return nil
}

// changed says whether there is an order that load has not seen.
func (o *orders) changed(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, o.attempt)
	defer cancel()
	mark, err := erase.Look(ctx, o.db.Conn())
	if err != nil {
		return false, fmt.Errorf("look for new erase orders: %w", err)
	}
	return mark != o.mark, nil
}

// match says of one event by itself whether it is to be left out. Of a batch
// out knows more.
func (o *orders) match(e *event.Event) bool { return e.Time < o.oldest || o.set.Match(e) }

// late is how long before its receipt an event may have happened: a beacon's
// `age` has this limit.
const late = 24 * time.Hour

// out returns the rows of a batch that are to be left out, nil as a rule.
// Where that tells of a view that it was an erased visitor's, the view's
// stored rows are taken out first.
func (o *orders) out(ctx context.Context, b *spool.Batch) (out map[uint64]bool, err error) {
	if first := b.Received(); first > o.set.Newest() && first-late.Milliseconds() >= o.oldest {
		return nil, nil // what has just come in is not read for this
	}
	s := o.set.Sieve()
	look := func(which func(*event.Event) bool) error {
		return b.Walk(readRows, func(first uint64, run []event.Event) error {
			for i := range run {
				if !which(&run[i]) {
					continue
				}
				if out == nil {
					out = map[uint64]bool{}
				}
				out[first+uint64(i)] = true
			}
			return nil
		})
	}
	if err := look(func(e *event.Event) bool { return e.Time < o.oldest || s.First(e) }); err != nil {
		return nil, err
	}
	if !s.Owned() {
		return out, nil
	}
	if err := look(s.Second); err != nil {
		return nil, err
	}
	if more := s.More(); len(more) > 0 {
		if err := erase.Widen(ctx, o.db.Conn(), o.cluster, more); err != nil {
			return nil, fmt.Errorf("erase views found late: %w", err)
		}
	}
	return out, nil
}

// digest reads a batch under the orders there are now.
func (l *Loader) digest(r retrier, o *orders, b *spool.Batch) (d *digest, err error) {
	var out map[uint64]bool
	if err := r.do("read erase orders", func(ctx context.Context) (err error) {
		if err := o.load(ctx); err != nil {
			return err
		}
		out, err = o.out(ctx, b)
		return err
	}); err != nil {
		return nil, err
	}
	// A row that is no row of events bears no node and has no text either.
	aside := l.quarantine.within(l.o.Spool.ID(), b.Range)
	if out == nil {
		out = aside
	} else {
		maps.Copy(out, aside)
	}
	if d, err = read(l.o.Spool.ID(), b, out); err != nil {
		return nil, fmt.Errorf("read batch at row %d: %w", b.From, err)
	}
	d.under, d.aside = o.mark, len(aside)
	return d, nil
}

// digestUnder is digest for a batch that was read before.
func (l *Loader) digestUnder(r retrier, o *orders, d *digest) (*digest, error) {
	if err := r.do("read erase orders", o.load); err != nil {
		return nil, err
	}
	if d.under == o.mark && d.aside == len(l.quarantine.within(l.o.Spool.ID(), d.batch.Range)) {
		return d, nil
	}
	return l.digest(r, o, d.batch)
}

// obey carries out what is new among the orders, where the loader's counting
// does not: nodes and texts that were decided before an order and written after
// it, and rows in quarantine. It belongs to stage two, comes after everything
// written there, and costs one small query where nothing is new.
func (l *Loader) obey(ctx context.Context) error {
	o := &l.orders[1]
	if err := o.load(ctx); err != nil {
		return err
	}
	if o.mark != l.obeyed {
		if _, err := erase.Again(ctx, o.db.Conn(), o.cluster, o.all); err != nil {
			return fmt.Errorf("erase again: %w", err)
		}
	}
	if o.mark != l.obeyed || o.oldest != l.dropped {
		n, err := l.quarantine.erase(o.match)
		if err != nil {
			return fmt.Errorf("erase in quarantine: %w", err)
		}
		if n > 0 {
			l.o.Logger.Info("erased in quarantine", "rows", n)
		}
	}
	l.obeyed, l.dropped = o.mark, o.oldest
	return nil
}
