package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/passalong/passalong/collector/event"
)

// A request is what one Append or AppendLines wants stored. It is encoded on
// the caller's goroutine: the committer only copies.
type request struct {
	buf    []byte  // frames of all chunks
	chunks []chunk // never split between groups; more than one only for lines
	lines  []Line  // whose identities are stored with them
	events int
	after  func()     // called once the outcome is known, even when nobody waits for it
	done   chan error // holds one
}

type chunk struct {
	end      int // of its frames in buf
	count    int
	received int64 // of its oldest event
}

// An op is any other write: a cut, a mark, a deletion. The committer runs it
// alone, so that one goroutine writes and its numbers need no second look.
type op struct {
	run  func() error
	done chan error // holds one
}

// errNoSpace: not even what was accepted can be written.
var errNoSpace = fmt.Errorf("%w: the disk is, no space is left on it", ErrFull)

// Append stores the events of one beacon under consecutive rows and returns when
// they are on disk.
//
// When ctx ends first the outcome is unknown, and the error says so. ErrFull and
// ErrClosed mean that nothing was stored.
func (s *Spool) Append(ctx context.Context, events []*event.Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("append: not begun: %w", err)
	}
	r := s.request()
	if err := r.add(events); err != nil {
		s.recycle(r)
		return fmt.Errorf("append: %w", err)
	}
	return s.submit(ctx, r)
}

func (s *Spool) request() *request {
	r := s.requests.Get().(*request)
	r.buf, r.chunks, r.lines, r.events, r.after = r.buf[:0], r.chunks[:0], nil, 0, nil
	return r
}

// recycle must not be called while the committer may still hold r.
func (s *Spool) recycle(r *request) {
	const keep = 64 << 10 // a beacon's size: one large import chunk must not stay in the pool
	if cap(r.buf) <= keep {
		s.requests.Put(r)
	}
}

// add encodes events as one chunk.
func (r *request) add(events []*event.Event) error {
	if len(events) > maxGroupEvents {
		return fmt.Errorf("%d events at once, at most %d", len(events), maxGroupEvents)
	}
	begin := len(r.buf)
	c := chunk{count: len(events)}
	for i, e := range events {
		if e == nil {
			return fmt.Errorf("event %d: missing", i)
		}
		var err error
		if r.buf, err = appendEvent(r.buf, e); err != nil {
			return fmt.Errorf("event %d: encode: %w", i, err)
		}
		if i == 0 || e.Received < c.received {
			c.received = e.Received
		}
	}
	c.end = len(r.buf)
	if c.end-begin > maxGroupBytes {
		return fmt.Errorf("%d bytes at once, at most %d", c.end-begin, maxGroupBytes)
	}
	r.chunks = append(r.chunks, c)
	r.events += c.count
	return nil
}

// submit queues r and waits for its outcome.
func (s *Spool) submit(ctx context.Context, r *request) error {
	full := s.gate.hitStill()
	s.mu.Lock()
	err := s.refusal()
	if err == nil && full {
		err = errNoSpace
	}
	if err != nil {
		s.mu.Unlock()
		if r.after != nil {
			r.after()
		}
		s.recycle(r)
		return err
	}
	s.pending = append(s.pending, r)
	s.mu.Unlock()
	s.work.Signal()

	select {
	case err := <-r.done:
		if !errors.Is(err, ErrFailed) { // else the committer may still read it
			s.recycle(r)
		}
		return err
	case <-ctx.Done():
		if s.withdraw(r) {
			if r.after != nil {
				r.after()
			}
			s.recycle(r)
			return fmt.Errorf("append: not stored: %w", ctx.Err())
		}
		return fmt.Errorf("append: outcome unknown: %w", ctx.Err())
	}
}

// withdraw takes a request back that the committer has not in hand, and says
// whether it could.
func (s *Spool) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.pending, r)
	if i < 0 {
		return false
	}
	s.pending = slices.Delete(s.pending, i, i+1)
	return true
}

// refuseQueued answers what waits behind a write that finds no space: it is not
// begun. What is in the committer's hand has an outcome only when there is space.
func (s *Spool) refuseQueued() {
	s.mu.Lock()
	queued := s.pending
	s.pending = nil
	s.mu.Unlock()
	for _, r := range queued {
		r.answer(errNoSpace)
	}
}

// refusal is why nothing more is taken. The caller holds mu.
func (s *Spool) refusal() error {
	if s.failure != nil {
		return s.failure
	}
	if s.closing {
		return ErrClosed
	}
	return nil
}

// do has the committer run an op. It waits for the outcome whatever happens:
// a mark or cut of unknown outcome would be of no use to the loader.
func (s *Spool) do(run func() error) error {
	o := &op{run: run, done: make(chan error, 1)}
	s.mu.Lock()
	if err := s.refusal(); err != nil {
		s.mu.Unlock()
		return err
	}
	s.ops = append(s.ops, o)
	s.mu.Unlock()
	s.work.Signal()
	return <-o.done
}

// answer tells the outcome, once: the committer and fail may both come by.
func (r *request) answer(err error) {
	if r.after != nil {
		r.after()
	}
	select {
	case r.done <- err: // from here on r is its caller's again
	default:
	}
}

func (o *op) answer(err error) {
	select {
	case o.done <- err:
	default:
	}
}
