package web

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

// Whenever a beacon comes, it is waited for no less than the limit and no more
// than a sixteenth longer.
func TestPatienceIsTheLimit(t *testing.T) {
	const limit = 800 * time.Millisecond
	p := newPatience(limit)
	first := p.context()
	for begin := time.Now(); p.context() == first; time.Sleep(time.Millisecond) {
		before := time.Now()
		end, ok := p.context().Deadline()
		if early, late := end.Sub(before), time.Until(end); !ok || early < limit || late > limit+limit/share {
			t.Fatalf("waits for %s, want %s", early, limit)
		}
		if time.Since(begin) > limit {
			t.Fatal("the same context for all")
		}
	}
	ctx := p.context()
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error(ctx.Err())
	}
	if p.context().Err() != nil {
		t.Error("a context that has ended is given out")
	}
}

// deadlines counts what a connection is asked to do.
type deadlines struct {
	net.Conn
	reads, writes []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.reads = append(d.reads, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.writes = append(d.writes, t); return nil }

// A deadline that holds is never early, never later than the slack, and is
// moved only when it would be.
func TestDeadlinesAreMovedSeldom(t *testing.T) {
	const slack = time.Second
	var raw deadlines
	c := &conn{Conn: &raw, owner: &connections{slack: slack}}
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		wish := now.Add(time.Duration(i) * 50 * time.Millisecond)
		if err := errors.Join(c.SetReadDeadline(wish), c.SetWriteDeadline(wish)); err != nil {
			t.Fatal(err)
		}
		for _, set := range [][]time.Time{raw.reads, raw.writes} {
			if late := set[len(set)-1].Sub(wish); late < 0 || late > slack {
				t.Fatalf("wish %d: %s late", i, late)
			}
		}
	}
	if len(raw.reads) != 5 || len(raw.writes) != 5 {
		t.Errorf("moved %d and %d times in five seconds, want once a second", len(raw.reads), len(raw.writes))
	}
	if err := c.SetReadDeadline(now); err != nil || len(raw.reads) != 6 || raw.reads[5].After(now.Add(slack)) {
		t.Errorf("an earlier one: %v, %v", err, raw.reads)
	}
}
