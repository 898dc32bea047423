package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/passalong/passalong/collector/event"
)

// A Range is rows From ≤ row < To.
type Range struct{ From, To uint64 }

// Rows in r.
func (r Range) Rows() uint64 { return r.To - r.From }

// A Batch is a range with a durable boundary. Its events lie in memory as they
// were stored; Walk reads them.
type Batch struct {
	Range

	// Again is set when this batch was given out before, by this process or by
	// one before it, so that it may have been loaded in whole or in part.
	Again bool

	spool  *Spool
	groups []group // that hold its rows, with memory of their own
}

// Walk reads the events in order and calls fn with one run of them after the
// other, of at most `most`; first is the row of run[0]. The run is overwritten
// when fn returns. Its strings may be kept, and keep the batch's memory with
// them. An error of fn ends the walk and is returned as it is.
//
// Nothing is left of one run but what fn keeps: a batch of 50,000 events would
// be 50 MB of pointers for the garbage collector to follow, again and again.
func (b *Batch) Walk(most int, fn func(first uint64, run []event.Event) error) error {
	run := make([]event.Event, 0, min(uint64(max(most, 1)), b.Rows()))
	first := b.From
	hand := func() error {
		if len(run) == 0 {
			return nil
		}
		err := fn(first, run)
		first += uint64(len(run))
		run = run[:0]
		return err
	}
	for _, g := range b.groups {
		err := g.frames(b.From, b.To, func(row uint64, frame []byte) error {
			run = run[:len(run)+1]
			e := &run[len(run)-1]
			e.Reset()
			if err := e.UnmarshalVTUnsafe(frame); err != nil {
				return b.spool.damage(damagef("row %d: %v", row, err))
			}
			if len(run) < cap(run) {
				return nil
			}
			return hand()
		})
		if err != nil {
			return err
		}
	}
	return hand()
}

// hold adds the group's memory, which ends with the iterator, to the batch.
func (b *Batch) hold(g group) error {
	if err := g.check(); err != nil {
		return err
	}
	g.body = bytes.Clone(g.body)
	b.groups = append(b.groups, g)
	return nil
}

// Received is when the oldest event of the batch was received, or an earlier
// one of the same commit: Unix milliseconds. It costs no look at the events.
func (b *Batch) Received() int64 {
	oldest := int64(math.MaxInt64)
	for _, g := range b.groups {
		oldest = min(oldest, g.received)
	}
	return oldest
}

const (
	defaultBatchRows = 50_000

	// A guess that keeps a collector under its 128 MB when every beacon is of the
	// largest kind: two batches are in memory, one in each stage of the loader.
	maxBatchBytes = 32 << 20
)

// Next returns the oldest batch that is not Done, the same until it is.
//
// Batches cut earlier come first, also those of an earlier process, with the
// same boundaries. Else a new one is cut: Next waits for the first event, then
// until `wait` has passed since that event came, or maxRows are there (0: 50,000),
// or about 32 MiB. The cut is on disk before Next returns. It falls between
// groups, except where one group alone exceeds maxRows.
func (s *Spool) Next(ctx context.Context, maxRows int, wait time.Duration) (*Batch, error) {
	if maxRows <= 0 {
		maxRows = defaultBatchRows
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var due <-chan time.Time // set once rows wait: since when does not change until they are cut
	for {
		s.mu.Lock()
		err := s.refusal()
		l, since := s.ledger, s.uncut
		r, old := s.oldestCut()
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if old {
			return s.Read(r)
		}
		if l.next > l.mark {
			left := wait - time.Since(since)
			if left <= 0 || l.next-l.mark >= uint64(maxRows) || l.total-l.markBytes >= maxBatchBytes {
				return s.cut(l, maxRows)
			}
			if due == nil {
				timer := time.NewTimer(left)
				defer timer.Stop()
				due = timer.C
			}
		}
		select {
		case <-s.more:
		case <-due:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.failed:
		case <-s.closed:
		}
	}
}

// oldestCut is the batch at the mark, when it was cut. The caller holds mu.
func (s *Spool) oldestCut() (Range, bool) {
	for _, r := range s.cuts {
		if r.From >= s.ledger.mark {
			return r, true
		}
	}
	return Range{}, false
}

// cutEnd is the row where the next cut begins. The caller holds mu.
func (s *Spool) cutEnd() uint64 {
	if n := len(s.cuts); n > 0 {
		return s.cuts[n-1].To
	}
	return s.ledger.mark
}

// cut makes the batch that begins at the mark.
func (s *Spool) cut(l ledger, maxRows int) (*Batch, error) {
	limit := l.mark + min(uint64(maxRows), l.next-l.mark)
	b := &Batch{Range: Range{From: l.mark, To: l.mark}, spool: s}
	var size uint64
	err := s.scan(l.mark, l.next, func(g group) (bool, error) {
		if b.To > b.From && (g.end() > limit || size+g.size > maxBatchBytes) {
			return false, nil
		}
		b.To = min(g.end(), limit)
		size += g.size
		return b.To < limit, b.hold(g)
	})
	if err != nil {
		return nil, fmt.Errorf("cut batch at row %d: %w", l.mark, s.damage(err))
	}
	err = s.do(func() error {
		key := rowKey(prefixCut, b.From)
		w := s.db.NewBatch()
		err := w.Set(key, encodeNumbers(key, b.To), nil)
		if err == nil {
			err = s.apply(w)
		}
		if err != nil {
			return s.fail(fmt.Errorf("cut batch at row %d: %w", b.From, err))
		}
		s.mu.Lock()
		s.cuts = append(s.cuts, b.Range)
		s.mu.Unlock()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Done moves the mark past b, which must be the batch that Next gives. Its
// events stay until Release. A batch already done is no error.
func (s *Spool) Done(b *Batch) error {
	return s.do(func() error {
		s.mu.Lock()
		mark := s.ledger.mark
		r, ok := s.oldestCut()
		next := s.ledger.next
		s.mu.Unlock()
		if b.To <= mark {
			return nil
		}
		if !ok || b.Range != r {
			return fmt.Errorf("done: rows %d to %d are not the oldest batch", b.From, b.To)
		}
		w := s.db.NewBatch()
		err := w.Set(keyMark, encodeNumbers(keyMark, b.To), nil)
		if err == nil {
			err = s.apply(w)
		}
		if err != nil {
			return s.fail(fmt.Errorf("move mark to row %d: %w", b.To, err))
		}
		markBytes, oldest, err := s.headAt(b.To, next)
		if err != nil {
			return s.damage(err)
		}
		s.mu.Lock()
		s.ledger.mark = b.To
		if next == b.To {
			markBytes = s.ledger.total
		}
		s.ledger.markBytes, s.oldest = markBytes, oldest
		s.mu.Unlock()
		return nil
	})
}

// headAt reads what the group that holds row says of itself: the bytes before
// it and its oldest event's time; zeros when row is the next one.
func (s *Spool) headAt(row, next uint64) (before uint64, received int64, err error) {
	if row >= next {
		return 0, 0, nil
	}
	err = s.scan(row, row+1, func(g group) (bool, error) {
		before, received = g.before, g.received
		return false, nil
	})
	return before, received, err
}

// Loaded lists the batches that are done and not released, oldest first.
func (s *Spool) Loaded() []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ranges []Range
	for _, r := range s.cuts {
		if r.To <= s.ledger.mark {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// Read reads rows that are stored, loaded or not.
func (s *Spool) Read(r Range) (*Batch, error) {
	s.mu.Lock()
	oldest := s.ledger.mark
	if len(s.cuts) > 0 {
		oldest = s.cuts[0].From
	}
	s.mu.Unlock()
	if r.From < oldest {
		return nil, fmt.Errorf("read rows %d to %d: released, row %d is the oldest", r.From, r.To, oldest)
	}
	b := &Batch{Range: r, Again: true, spool: s}
	err := s.scan(r.From, r.To, func(g group) (bool, error) { return g.end() < r.To, b.hold(g) })
	if err != nil {
		return nil, fmt.Errorf("read rows %d to %d: %w", r.From, r.To, s.damage(err))
	}
	return b, nil
}

// Release deletes the loaded batches that end at or below to. What is above the
// mark is never deleted, and a batch that ends inside a group stays until the
// one behind it goes too.
func (s *Spool) Release(to uint64) error {
	return s.do(func() error {
		s.mu.Lock()
		to = min(to, s.ledger.mark)
		n := 0
		for n < len(s.cuts) && s.cuts[n].To <= to {
			n++
		}
		cuts, l := s.cuts, s.ledger
		s.mu.Unlock()

		// Groups are deleted whole, so that what is stored always begins where a batch
		// begins: a mark that is lost can then be made good.
		kept := l.total
		for ; n > 0 && cuts[n-1].To < l.next; n-- {
			end, border := cuts[n-1].To, false
			err := s.scan(end, end+1, func(g group) (bool, error) {
				kept, border = g.before, g.first == end
				return false, nil
			})
			if err != nil {
				return s.damage(err)
			}
			if border {
				break
			}
		}
		if n == 0 {
			return nil
		}
		end := cuts[n-1].To
		w := s.db.NewBatch()
		err := errors.Join(
			w.DeleteRange(rowKey(prefixGroup, 0), rowKey(prefixGroup, end), nil),
			w.DeleteRange(rowKey(prefixCut, 0), rowKey(prefixCut, end), nil))
		if err == nil {
			err = s.apply(w)
		}
		if err != nil {
			return s.fail(fmt.Errorf("release rows below %d: %w", end, err))
		}
		s.mu.Lock()
		s.cuts = append([]Range(nil), cuts[n:]...)
		s.ledger.keptBytes = kept
		s.mu.Unlock()
		return nil
	})
}

// scan calls fn with the groups that hold rows from ≤ row < to, in order, until
// fn has enough. A row that is missing in between is damage.
func (s *Spool) scan(from, to uint64, fn func(group) (more bool, err error)) error {
	s.use.RLock()
	defer s.use.RUnlock()
	select {
	case <-s.ended: // Pebble may be closed
		return s.over()
	default:
	}
	return scanGroups(s.db, from, to, fn)
}

func scanGroups(db *pebble.DB, from, to uint64, fn func(group) (bool, error)) (err error) {
	if from >= to {
		return nil
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixGroup}, UpperBound: []byte{prefixGroup + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()

	row := from
	ok := it.SeekLT(rowKey(prefixGroup, from+1)) // the group that holds from begins there or earlier
	for ; ok && row < to; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("row %d: %w", row, err)
		}
		g, err := decodeGroup(it.Key(), value)
		if err != nil {
			return err
		}
		if g.first > row || g.end() <= row || (row > from && g.first != row) {
			return damagef("row %d: missing, its neighbour is the group of rows %d to %d", row, g.first, g.end())
		}
		more, err := fn(g)
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
		row = g.end()
	}
	if err := it.Error(); err != nil {
		return fmt.Errorf("row %d: %w", row, err)
	}
	if row < to {
		return damagef("row %d: missing, nothing is stored from there", row)
	}
	return nil
}
