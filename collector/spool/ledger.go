package spool

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// ledger counts rows and bytes from the birth of the spool, so that what waits
// is a difference and a start need not read what is stored.
type ledger struct {
	next  uint64 // row of the next event
	mark  uint64 // rows below are loaded
	total uint64 // bytes of all groups ever written

	markBytes uint64 // total before the group that holds the row at the mark
	keptBytes uint64 // total before the oldest group still stored
}

// loadLedger reads mark, cuts and the next row. A mark or next row that cannot
// be read is made good from the cuts and groups: at worst batches come again
// that were loaded, and the loader, told so by Batch.Again, counts them.
func (s *Spool) loadLedger(db *pebble.DB) error {
	var l ledger
	cuts, err := loadCuts(db)
	if err != nil {
		return err
	}
	first, last, err := edges(db)
	if err != nil {
		return err
	}

	nextGood := s.number(db, keyNext, &l.next, &l.total)
	if !nextGood {
		l.next, l.total = 0, 0
	}
	if last != nil {
		l.next, l.total = max(l.next, last.end()), max(l.total, last.before+last.size)
	}
	if n := len(cuts); n > 0 {
		if cuts[n-1].To > l.next {
			return damagef("rows up to %d were given out, and the spool ends at %d", cuts[n-1].To, l.next)
		}
	}

	// Without a mark everything stored counts as not loaded.
	markGood := s.number(db, keyMark, &l.mark)
	if first == nil {
		if !markGood && !nextGood {
			return damagef("neither mark nor next row can be read, and no group is left to tell them")
		}
		if markGood { // all was released, so all was loaded
			l.next = max(l.next, l.mark)
		}
	}
	oldest := l.next
	if first != nil {
		oldest = first.first
	}
	if len(cuts) > 0 && cuts[0].From != oldest {
		return damagef("row %d: missing, it was given out and not released", cuts[0].From)
	}
	if !markGood || !atBorder(l.mark, oldest, cuts) {
		s.log.Error("mark of the spool is lost or wrong, batches come again", "mark", l.mark, "from", oldest)
		l.mark = oldest
	}

	l.markBytes, l.keptBytes = l.total, l.total
	if first != nil {
		l.keptBytes = first.before
	}
	s.oldest = 0
	if l.mark < l.next {
		err := scanGroups(db, l.mark, l.mark+1, func(g group) (bool, error) {
			l.markBytes, s.oldest = g.before, g.received
			return false, nil
		})
		if err != nil {
			return err
		}
	}
	s.ledger, s.cuts = l, cuts
	return nil
}

// atBorder: a mark stands where a batch begins or ends; where none is left, all
// that is stored lies behind it.
func atBorder(mark, oldest uint64, cuts []Range) bool {
	for _, r := range cuts {
		if mark == r.From || mark == r.To {
			return true
		}
	}
	return len(cuts) == 0 && mark == oldest
}

func loadCuts(db *pebble.DB) (cuts []Range, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixCut}, UpperBound: []byte{prefixCut + 1}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		from, err := parseRowKey(it.Key())
		if err != nil {
			return nil, err
		}
		c := Range{From: from}
		if err := decodeNumbers(it.Key(), value, &c.To); err != nil {
			return nil, err
		}
		if c.To <= c.From || (len(cuts) > 0 && cuts[len(cuts)-1].To != c.From) {
			return nil, damagef("batch of rows %d to %d: not where the one before ends", c.From, c.To)
		}
		cuts = append(cuts, c)
	}
	return cuts, it.Error()
}

// edges reads the oldest and the newest group, or nil when there is none.
func edges(db *pebble.DB) (first, last *group, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixGroup}, UpperBound: []byte{prefixGroup + 1}})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for _, edge := range []struct {
		seek func() bool
		into **group
	}{{it.First, &first}, {it.Last, &last}} {
		if !edge.seek() {
			return nil, nil, it.Error()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, err
		}
		g, err := decodeGroup(it.Key(), value)
		if err != nil {
			return nil, nil, err
		}
		g.body = nil // it ends with the iterator
		*edge.into = &g
	}
	return first, last, nil
}

// number reads a value of numbers and says whether it could.
func (s *Spool) number(db *pebble.DB, key []byte, into ...*uint64) bool {
	value, err := get(db, key)
	if err == nil {
		err = decodeNumbers(key, value, into...)
	}
	if err != nil {
		s.log.Error("key of the spool cannot be read", "key", string(key), "error", err.Error())
		return false
	}
	return true
}

// get returns nil when the key is not there.
func get(db *pebble.DB, key []byte) ([]byte, error) {
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(value), closer.Close()
}

func set(db *pebble.DB, key, value []byte) error { return db.Set(key, value, pebble.Sync) }
