package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/passalong/passalong/collector/event"
)

// A Line is one import line: an identity that is kept in the same commit as its
// events, so that the line never counts twice.
type Line struct {
	Identity [16]byte
	Day      int32          // days since 1970-01-01: when the identity may be forgotten
	Events   []*event.Event // none: only the identity is kept
}

// importShare of the limit is as far as imports may fill the spool: the rest is
// for readers who are on the page now. A guess.
const importShare = 0.8

// AppendLines stores lines in one commit and tells which of them were there
// before, in the spool or earlier in lines; of those nothing is stored.
//
// The outcome after the end of ctx is unknown, as with Append; the same lines
// again then do no harm.
func (s *Spool) AppendLines(ctx context.Context, lines []Line) (duplicate []bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("append lines: not begun: %w", err)
	}
	// One import at a time from the look-up to the commit: then no line slips in
	// between, and the committer, for whom readers wait, has nothing to look up.
	select {
	case s.imports <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("append lines: not begun: %w", ctx.Err())
	}
	release := func() {
		select {
		case <-s.imports:
		default:
		}
	}

	duplicate, err = s.known(lines)
	if err == nil && s.importsFull() {
		err = fmt.Errorf("%w: imports leave the rest of the limit to readers", ErrFull)
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("append lines: %w", err)
	}
	r := s.request()
	for i, line := range lines {
		if duplicate[i] {
			continue
		}
		if len(line.Events) > 0 {
			err = r.add(line.Events)
		}
		if err != nil {
			release()
			s.recycle(r)
			return nil, fmt.Errorf("append lines: line %d: %w", i, err)
		}
		r.lines = append(r.lines, line)
	}
	if len(r.lines) == 0 {
		release()
		s.recycle(r)
		return duplicate, nil
	}
	r.after = release
	if err := s.submit(ctx, r); err != nil {
		return nil, err
	}
	return duplicate, nil
}

func (s *Spool) importsFull() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.ledger.total - s.ledger.keptBytes
	return float64(stored) > importShare*float64(s.options.Limit)
}

// known tells which lines are in the spool or earlier among themselves.
func (s *Spool) known(lines []Line) ([]bool, error) {
	s.use.RLock()
	defer s.use.RUnlock()
	select {
	case <-s.ended:
		return nil, s.over()
	default:
	}
	if !s.familiar.known() {
		if err := s.familiar.read(s.db); err != nil {
			return nil, fmt.Errorf("read identities: %w", s.damage(err))
		}
	}
	duplicate := make([]bool, len(lines))
	here := make(map[[16]byte]struct{}, len(lines))
	for i, line := range lines {
		if _, duplicate[i] = here[line.Identity]; duplicate[i] {
			continue
		}
		here[line.Identity] = struct{}{}
		if !s.familiar.may(line.Identity) {
			s.familiar.add(line.Identity)
			continue
		}
		_, closer, err := s.db.Get(identityKey(line.Identity))
		switch {
		case err == nil:
			duplicate[i] = true
			if err := closer.Close(); err != nil {
				return nil, err
			}
		case !errors.Is(err, pebble.ErrNotFound):
			return nil, fmt.Errorf("look up line %d: %w", i, s.damage(err))
		}
	}
	return duplicate, nil
}

func setIdentity(b *pebble.Batch, line Line) error {
	return errors.Join(
		b.Set(identityKey(line.Identity), encodeDay(line.Day), nil),
		b.Set(dayKey(line.Day, line.Identity[:]), nil, nil))
}

// Forget drops the identities of lines older than day. It goes in small steps,
// each a commit of its own, between which readers get their turn.
func (s *Spool) Forget(day int32) error {
	for {
		keys, err := s.older(day)
		if err != nil {
			return fmt.Errorf("forget lines before day %d: %w", day, err)
		}
		if len(keys) == 0 {
			return nil
		}
		err = s.do(func() error {
			b := s.db.NewBatch()
			var err error
			for _, key := range keys {
				err = errors.Join(err, b.Delete(identityKey([16]byte(key[5:])), nil))
			}
			last := append(keys[len(keys)-1], 0) // the range's end is exclusive
			err = errors.Join(err, b.DeleteRange(keys[0], last, nil))
			if err == nil {
				err = s.apply(b)
			}
			if err != nil {
				return s.fail(fmt.Errorf("forget lines before day %d: %w", day, err))
			}
			s.flushSoon()
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// older lists the first identities that are older than day.
func (s *Spool) older(day int32) (keys [][]byte, err error) {
	const step = 4096 // as many as a group has events; about 2 ms of the committer
	s.use.RLock()
	defer s.use.RUnlock()
	select {
	case <-s.ended:
		return nil, s.over()
	default:
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixDay}, UpperBound: dayKey(day, nil)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(keys) < step; ok = it.Next() {
		key := append([]byte(nil), it.Key()...)
		if len(key) != 5+16 {
			return nil, s.damage(damagef("key of a forgotten line: %d bytes, want 21", len(key)))
		}
		keys = append(keys, key)
	}
	if err := it.Error(); err != nil {
		return nil, s.damage(err)
	}
	return keys, nil
}
