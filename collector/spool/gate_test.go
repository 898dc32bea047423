package spool

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func TestTheLimitRefusesAndRecoversAfterRelease(t *testing.T) {
	var log journal
	o := in(memory(t))
	o.Limit, o.Logger = 5000, log.logger()
	s := open(t, o)
	stored := 0
	var err error
	for ; err == nil && stored < 1000; stored++ {
		err = s.Append(t.Context(), beacon("a", 1))
	}
	stored--
	if !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "the limit is 5000") {
		t.Fatalf("got %v, want %v", err, ErrFull)
	}
	if st := s.Stats(); st.Full != "limit" || st.StoredBytes > 5000 || int(st.Rows) != stored {
		t.Errorf("after %d events: %+v", stored, st)
	}

	// Loaded events are still on disk: only Release makes room.
	b := mustNext(t, s, 0)
	must(t, s.Done(b))
	if err := s.Append(t.Context(), beacon("b", 1)); !errors.Is(err, ErrFull) {
		t.Errorf("loaded and not released: got %v, want %v", err, ErrFull)
	}
	must(t, s.Release(b.To))
	mustAppend(t, s, "c", 1)
	if st := s.Stats(); st.Full != "" {
		t.Errorf("got %+v", st)
	}
	if got := log.String(); strings.Count(got, "spool is full") != 1 || strings.Count(got, "spool takes events again") != 1 {
		t.Errorf("each turn is logged once, and there is:\n%s", got)
	}
}

// 2 % of a disk, but at least 256 MiB and at most 1 GiB.
func TestAFullDiskRefuses(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name         string
		total, keep  uint64
		reserve      int64
		becomesFull  uint64
		still, again uint64
	}{
		{name: "large disk", total: 4 << 40, becomesFull: 1023 * mib, still: 1200 * mib, again: 1281 * mib},
		{name: "disk of 40 GiB", total: 40 << 30, becomesFull: 818 * mib, still: 1000 * mib, again: 1025 * mib},
		{name: "small disk", total: 1 << 30, becomesFull: 127 * mib, still: 150 * mib, again: 161 * mib},
		{name: "disk of 64 MiB", total: 64 << 20, becomesFull: 7 * mib, still: 9 * mib, again: 11 * mib},
		{name: "reserve as asked for", total: 1 << 30, reserve: 8 * mib, becomesFull: 7 * mib, still: 9 * mib, again: 11 * mib},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := memory(t)
			usage := func(s *Spool, free uint64) {
				fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: test.total})
				if s != nil {
					lookNow(s.gate)
				}
			}
			usage(nil, test.total)
			o := in(fs)
			o.Reserve = test.reserve
			s := open(t, o)
			mustAppend(t, s, "a", 1)
			b := mustNext(t, s, 0)

			usage(s, test.becomesFull)
			if err := s.Append(t.Context(), beacon("b", 1)); !errors.Is(err, ErrFull) {
				t.Fatalf("got %v, want %v", err, ErrFull)
			}
			if st := s.Stats(); st.Full != "disk" || st.FreeDisk != int64(test.becomesFull) {
				t.Errorf("got %+v", st)
			}
			must(t, s.Done(b)) // the way out goes on
			must(t, s.Release(b.To))

			usage(s, test.still)
			if err := s.Append(t.Context(), beacon("b", 1)); !errors.Is(err, ErrFull) {
				t.Errorf("with a little more room: got %v, want %v", err, ErrFull)
			}
			usage(s, test.again)
			if full := s.Stats().Full; full != "" { // whoever waits for this appends nothing before
				t.Errorf("with room again, and nobody appending: full is %q", full)
			}
			mustAppend(t, s, "c", 1)
			if got := names(rest(t, s)); got != "c/0" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// lookNow makes the next look at the free space a fresh one.
func lookNow(g *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked, g.hitAt = g.looked.Add(-lookEvery), g.hitAt.Add(-2*hitHolds)
}

// A disk that is suddenly full, whatever was free a moment ago: the ballast
// gives the write that meets it its room, and then the gate is shut.
func TestAWriteThatMeetsTheFullDiskIsSavedByTheBallast(t *testing.T) {
	mem := memory(t)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 30, TotalBytes: 20 << 30})
	var full atomic.Bool
	ballast := "/data/spool/" + ballastName
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && full.Load() {
			if _, err := mem.Stat(ballast); err == nil {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	var log journal
	o := in(fs)
	o.Logger = log.logger()
	s := open(t, o)
	if _, err := mem.Stat(ballast); err != nil {
		t.Fatalf("there is no ballast: %v", err)
	}

	full.Store(true)
	mustAppend(t, s, "a", 1) // the write was tried again
	if _, err := mem.Stat(ballast); err == nil {
		t.Fatal("the ballast is still there")
	}
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 450 << 20, TotalBytes: 20 << 30})
	lookNow(s.gate)
	if err := s.Append(t.Context(), beacon("b", 1)); !errors.Is(err, ErrFull) || s.Stats().Full != "disk" {
		t.Errorf("got %v, want %v", err, ErrFull)
	}

	full.Store(false)
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 10 << 30, TotalBytes: 20 << 30})
	lookNow(s.gate)
	mustAppend(t, s, "c", 1)
	if _, err := mem.Stat(ballast); err != nil {
		t.Errorf("the ballast was not laid again: %v", err)
	}
	if got := names(rest(t, s)); got != "a/0 c/0" {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(log.String(), "the ballast was given up") {
		t.Errorf("the operator was not told:\n%s", &log)
	}
}
