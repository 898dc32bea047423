package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// run is the committer. It ends when the spool is closing and the queue is
// empty, or with the spool's failure; Close waits for it.
func (s *Spool) run() {
	defer close(s.ended)
	orderly := false
	defer func() {
		// Pebble panics when it cannot rotate its log, and a fatal report ends this
		// goroutine (see engineLog): in both cases whoever waits must hear of it.
		if r := recover(); r != nil {
			_ = s.fail(fmt.Errorf("commit: %v", r)) // Err tells it
		} else if !orderly {
			_ = s.fail(errors.New("commit: engine gave up")) // Err tells it
		}
	}()
	for {
		s.mu.Lock()
		for len(s.pending) == 0 && len(s.ops) == 0 && !s.closing && s.failure == nil {
			s.work.Wait()
		}
		if s.failure != nil || (len(s.pending) == 0 && len(s.ops) == 0) {
			s.mu.Unlock()
			orderly = true
			return
		}
		s.oping, s.ops = s.ops, s.oping[:0]
		s.take()
		ops, requests := s.oping, s.inflight
		s.mu.Unlock()

		kept := s.ledger.keptBytes // only this goroutine changes it
		for _, o := range ops {
			o.answer(o.run())
		}
		if s.ledger.keptBytes != kept {
			s.flushSoon()
		}
		var err error
		if len(requests) > 0 {
			err = s.commit(requests)
		}
		s.mu.Lock()
		s.inflight, s.oping = s.inflight[:0], s.oping[:0] // before answering: then they are their callers' again
		s.mu.Unlock()
		for _, r := range requests {
			r.answer(err)
		}
	}
}

// take moves the requests of one commit from pending to inflight. The caller
// holds mu.
func (s *Spool) take() {
	events, bytes, n := 0, 0, 0
	for _, r := range s.pending {
		if n > 0 && (events+r.events > maxGroupEvents || bytes+len(r.buf) > maxGroupBytes) {
			break
		}
		events, bytes, n = events+r.events, bytes+len(r.buf), n+1
	}
	s.inflight = append(s.inflight[:0], s.pending[:n]...)
	rest := copy(s.pending, s.pending[n:])
	clear(s.pending[rest:])
	s.pending = s.pending[:rest]
}

// commit writes the requests in one synced Pebble batch: as a rule one group,
// more when one request is larger than a group may be.
func (s *Spool) commit(requests []*request) error {
	bytes, events, oldest := 0, 0, int64(0)
	for _, r := range requests {
		bytes += len(r.buf)
		for _, c := range r.chunks {
			if events == 0 || c.received < oldest {
				oldest = c.received
			}
			events += c.count
		}
	}
	l := s.ledger // only this goroutine changes it
	if err := s.gate.admit(int64(l.total-l.keptBytes), int64(bytes)); err != nil {
		return err
	}

	b := s.db.NewBatchWithSize(bytes + 4096)
	p := packer{batch: b, next: l.next, total: l.total}
	for _, r := range requests {
		begin := 0
		for _, c := range r.chunks {
			p.add(r.buf[begin:c.end], c)
			begin = c.end
		}
		for _, line := range r.lines {
			if err := setIdentity(b, line); err != nil {
				return s.fail(fmt.Errorf("commit: %w", err))
			}
		}
	}
	p.flush()
	err := p.err
	if err == nil && events > 0 {
		err = b.Set(keyNext, encodeNumbers(keyNext, p.next, p.total), nil)
	}
	if err == nil {
		err = s.apply(b)
	}
	if err != nil {
		return s.fail(fmt.Errorf("commit: %w", err))
	}

	s.mu.Lock()
	if events > 0 {
		if l.next == l.mark {
			s.oldest = oldest
		}
		if l.next == s.cutEnd() {
			s.uncut = time.Now()
		}
		s.groups += p.groups
		s.events += uint64(events)
	}
	s.ledger.next, s.ledger.total = p.next, p.total
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

// flushSoon has Pebble write its memtable out a little after something was
// deleted. Without it a drained spool keeps its space until enough new events
// came. The committer does it, so that nobody else ever begins a new log.
func (s *Spool) flushSoon() {
	const delay = 500 * time.Millisecond // a guess: several releases share a flush, and space is back at once for people
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushing {
		return
	}
	s.flushing = true
	time.AfterFunc(delay, func() {
		s.mu.Lock()
		s.flushing = false
		if s.refusal() == nil {
			s.ops = append(s.ops, &op{run: s.flush, done: make(chan error, 1)})
		}
		s.mu.Unlock()
		s.work.Signal()
	})
}

func (s *Spool) flush() error {
	if _, err := s.db.AsyncFlush(); err != nil {
		return s.fail(fmt.Errorf("flush: %w", err))
	}
	return nil
}

// apply writes b and waits for the fsync of Pebble's log.
func (s *Spool) apply(b *pebble.Batch) error {
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return err
	}
	return b.Close()
}

// A packer puts chunks into groups, none split.
type packer struct {
	batch       *pebble.Batch
	next, total uint64
	groups      uint64
	open        group
	parts       [][]byte
	size        int
	err         error
}

func (p *packer) add(frames []byte, c chunk) {
	if p.open.count > 0 && (p.open.count+uint64(c.count) > maxGroupEvents || p.size+len(frames) > maxGroupBytes) {
		p.flush()
	}
	if p.open.count == 0 || c.received < p.open.received {
		p.open.received = c.received
	}
	p.open.count += uint64(c.count)
	p.parts = append(p.parts, frames)
	p.size += len(frames)
}

func (p *packer) flush() {
	if p.open.count == 0 || p.err != nil {
		return
	}
	g := p.open
	g.first, g.before = p.next, p.total
	key := rowKey(prefixGroup, g.first)
	w := p.batch.SetDeferred(len(key), groupSize(g, p.size))
	copy(w.Key, key)
	encodeGroup(w.Value[:0], key, g, p.parts)
	p.err = w.Finish()
	p.next = g.end()
	p.total += uint64(len(w.Key) + len(w.Value))
	p.groups++
	p.open, p.parts, p.size = group{}, p.parts[:0], 0
}

// fail makes err the spool's end and tells everybody who waits. It may be called
// from any goroutine, also by Pebble with its mutex held, and returns the
// failure that holds, which is the first.
func (s *Spool) fail(err error) error {
	s.mu.Lock()
	first := s.failure == nil
	if first {
		s.failure = fmt.Errorf("%w: %w", ErrFailed, err)
		close(s.failed)
	}
	failure := s.failure
	requests := append(s.inflight, s.pending...)
	ops := append(s.oping, s.ops...)
	s.inflight, s.pending, s.oping, s.ops = nil, nil, nil, nil
	s.mu.Unlock()
	s.work.Broadcast()
	if first {
		s.log.Error("spool failed, nothing more is taken; restart to read the disk again", "error", err.Error())
	}
	for _, r := range requests {
		r.answer(failure)
	}
	for _, o := range ops {
		o.answer(failure)
	}
	return failure
}
