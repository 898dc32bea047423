package spool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/passalong/passalong/collector/event"
)

// reopen loses power with nothing but what was synced, and opens what is left.
func reopen(t *testing.T, fs *vfs.MemFS) (*Spool, *vfs.MemFS) {
	t.Helper()
	left := fs.CrashClone(vfs.CrashCloneCfg{})
	return open(t, in(left)), left
}

func TestWhatAppendAcknowledgedIsThereAfterAPowerCut(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	mustAppend(t, s, "a", 3)
	mustAppend(t, s, "b", 1)

	again, _ := reopen(t, fs)
	if got, want := names(rest(t, again)), "a/0 a/1 a/2 b/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if again.ID() != s.ID() || len(s.ID()) != 32 {
		t.Errorf("id %q became %q", s.ID(), again.ID())
	}
	if got, want := again.Stats(), s.Stats(); got.Rows != 4 || got.Bytes != want.Bytes || got.StoredBytes != want.StoredBytes || got.OldestReceived != 1790000000000 {
		t.Errorf("got %+v, want the figures of %+v", got, want)
	}
}

func TestABatchComesBackWithTheSameRowsAfterACrash(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	for i := range 10 {
		mustAppend(t, s, fmt.Sprint("beacon", i), 3)
	}
	first := mustNext(t, s, 10)
	if first.Range != (Range{0, 9}) || first.Again {
		t.Fatalf("got %v again=%t, want rows 0 to 9, cut between beacons, for the first time", first.Range, first.Again)
	}
	mustAppend(t, s, "later", 1)

	s, fs = reopen(t, fs)
	second := mustNext(t, s, 100)
	if second.Range != first.Range || names(events(t, second)) != names(events(t, first)) || !second.Again {
		t.Fatalf("got %v again=%t, want %v again", second.Range, second.Again, first.Range)
	}
	must(t, s.Done(second))

	s, _ = reopen(t, fs)
	third := mustNext(t, s, 100)
	if third.Range != (Range{9, 31}) || third.Again {
		t.Fatalf("got %v again=%t, want rows 9 to 31 for the first time", third.Range, third.Again)
	}
	if want := []Range{{0, 9}}; !reflect.DeepEqual(s.Loaded(), want) {
		t.Fatalf("loaded %v, want %v", s.Loaded(), want)
	}
}

func TestNextGivesTheSameBatchUntilItIsDone(t *testing.T) {
	s := open(t, in(memory(t)))
	mustAppend(t, s, "a", 2)
	first := mustNext(t, s, 10)
	mustAppend(t, s, "b", 2)
	if again := mustNext(t, s, 10); again.Range != first.Range || !again.Again {
		t.Fatalf("got %v again=%t, want %v again", again.Range, again.Again, first.Range)
	}
	must(t, s.Done(first))
	must(t, s.Done(first)) // once more is no error
	if b := mustNext(t, s, 10); b.Range != (Range{2, 4}) {
		t.Fatalf("got %v, want rows 2 to 4", b.Range)
	}
	if err := s.Done(&Batch{Range: Range{2, 3}}); err == nil {
		t.Fatal("done of rows that are no batch was taken")
	}
}

func TestARowNumberIsNeverGivenTwice(t *testing.T) {
	for _, test := range []struct {
		name string
		stop func(*testing.T, *Spool, *vfs.MemFS) *Spool
	}{
		{"after an orderly stop", func(t *testing.T, s *Spool, fs *vfs.MemFS) *Spool {
			mustClose(t, s)
			return open(t, in(fs))
		}},
		{"after a power cut", func(t *testing.T, _ *Spool, fs *vfs.MemFS) *Spool {
			s, _ := reopen(t, fs)
			return s
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := memory(t)
			s := open(t, in(fs))
			mustAppend(t, s, "a", 5)
			b := mustNext(t, s, 0)
			must(t, s.Done(b))
			must(t, s.Release(b.To))
			if st := s.Stats(); st.Rows != 0 || st.StoredBytes != 0 || st.OldestReceived != 0 {
				t.Fatalf("released all, and there is %+v", st)
			}
			s = test.stop(t, s, fs)
			mustAppend(t, s, "b", 1)
			if b := mustNext(t, s, 0); b.Range != (Range{5, 6}) || names(events(t, b)) != "b/0" {
				t.Errorf("got %v with %s, want rows 5 to 6 with b/0", b.Range, names(events(t, b)))
			}
		})
	}
}

func TestABeaconLargerThanABatchIsCutInside(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	mustAppend(t, s, "a", 10)
	var got []Range
	for range 4 {
		b := mustNext(t, s, 3)
		got = append(got, b.Range)
		must(t, s.Done(b))
		must(t, s.Release(b.To))
		s, fs = reopen(t, fs)
	}
	if want := []Range{{0, 3}, {3, 6}, {6, 9}, {9, 10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if st := s.Stats(); st.StoredBytes != 0 || len(s.Loaded()) != 0 {
		t.Errorf("left: %+v, loaded %v", st, s.Loaded())
	}
}

func TestReleaseKeepsWhatIsNotLoaded(t *testing.T) {
	s := open(t, in(memory(t)))
	mustAppend(t, s, "a", 2)
	first := mustNext(t, s, 0)
	must(t, s.Done(first))
	mustAppend(t, s, "b", 2)
	second := mustNext(t, s, 0)

	must(t, s.Release(1000))
	if _, err := s.Read(second.Range); err != nil {
		t.Errorf("a batch that is not loaded is gone: %v", err)
	}
	must(t, s.Done(second))
	if b, err := s.Read(second.Range); err != nil || names(events(t, b)) != "b/0 b/1" {
		t.Errorf("a batch that is not released cannot be read: %v", err)
	}
	if want := []Range{{2, 4}}; !reflect.DeepEqual(s.Loaded(), want) {
		t.Errorf("loaded %v, want %v", s.Loaded(), want)
	}
}

func TestNextWaits(t *testing.T) {
	type result struct {
		b   *Batch
		err error
	}
	next := func(ctx context.Context, s *Spool, maxRows int, wait time.Duration) <-chan result {
		c := make(chan result, 1)
		go func() {
			b, err := s.Next(ctx, maxRows, wait)
			c <- result{b, err}
		}()
		return c
	}
	t.Run("for the first event", func(t *testing.T) {
		s := open(t, in(memory(t)))
		c := next(soon(t), s, 10, 0)
		mustAppend(t, s, "a", 1)
		if r := <-c; r.err != nil || r.b.Rows() != 1 {
			t.Fatalf("got %v, %v", r.b, r.err)
		}
	})
	t.Run("for more rows, until there are enough", func(t *testing.T) {
		s := open(t, in(memory(t)))
		c := next(soon(t), s, 4, time.Hour)
		mustAppend(t, s, "a", 2)
		mustAppend(t, s, "b", 2)
		if r := <-c; r.err != nil || r.b.Range != (Range{0, 4}) {
			t.Fatalf("got %v, %v", r.b, r.err)
		}
	})
	t.Run("no longer than asked", func(t *testing.T) {
		s := open(t, in(memory(t)))
		mustAppend(t, s, "a", 2)
		if r := <-next(soon(t), s, 4, 10*time.Millisecond); r.err != nil || r.b.Range != (Range{0, 2}) {
			t.Fatalf("got %v, %v", r.b, r.err)
		}
	})
	t.Run("until its context ends", func(t *testing.T) {
		s := open(t, in(memory(t)))
		ctx, cancel := context.WithCancel(t.Context())
		c := next(ctx, s, 4, time.Hour)
		cancel()
		if r := <-c; !errors.Is(r.err, context.Canceled) {
			t.Fatalf("got %v, %v", r.b, r.err)
		}
	})
	t.Run("until the spool is closed", func(t *testing.T) {
		s := open(t, in(memory(t)))
		c := next(soon(t), s, 4, time.Hour)
		mustClose(t, s)
		if r := <-c; !errors.Is(r.err, ErrClosed) {
			t.Fatalf("got %v, %v", r.b, r.err)
		}
	})
}

func TestAppendRefuses(t *testing.T) {
	s := open(t, in(memory(t)))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name   string
		ctx    context.Context
		events []*event.Event
		want   string
	}{
		{"a context that has ended", ended, beacon("a", 1), "not begun"},
		{"an event that is missing", t.Context(), []*event.Event{{Site: "x"}, nil}, "event 1: missing"},
		{"more events than a group holds", t.Context(), beacon("a", maxGroupEvents+1), "4097 events at once"},
		{"more bytes than a group holds", t.Context(), []*event.Event{{Quote: strings.Repeat("x", maxGroupBytes+1)}}, "bytes at once"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := s.Append(test.ctx, test.events)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	if st := s.Stats(); st.NextRow != 0 {
		t.Errorf("something was stored: %+v", st)
	}
	must(t, s.Append(t.Context(), nil))
}

func TestTheLargestBeaconIsStoredWhole(t *testing.T) {
	s := open(t, in(memory(t)))
	mustAppend(t, s, "a", 1)
	mustAppend(t, s, "b", maxGroupEvents)
	if got := rest(t, s); len(got) != 1+maxGroupEvents || name(got[maxGroupEvents]) != "b/4095" {
		t.Errorf("got %d events", len(got))
	}
}

func TestAnAppendWhoseContextEndsHasAnUnknownOutcome(t *testing.T) {
	fs := &slowFS{FS: memory(t), enter: make(chan struct{}, 1), leave: make(chan struct{})}
	s := open(t, in(fs))
	fs.slow.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Append(ctx, beacon("a", 1)) }()
	<-fs.enter // the fsync of its group has begun
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "outcome unknown") {
		t.Errorf("got %v", err)
	}
	fs.slow.Store(false)
	close(fs.leave)
	mustAppend(t, s, "b", 1)
	if got := names(rest(t, s)); got != "a/0 b/0" {
		t.Errorf("here it was stored, and there is %s", got)
	}
}

func TestCloseUnderLoadLosesNothingAcknowledged(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var writers sync.WaitGroup
	started := make(chan struct{}, 16)
	for w := range 16 {
		writers.Go(func() {
			for i := 0; ; i++ {
				b := beacon(fmt.Sprintf("%d-%d", w, i), 1+i%3)
				err := s.Append(context.Background(), b)
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Errorf("got %v, want %v", err, ErrClosed)
					}
					return
				}
				mu.Lock()
				for _, e := range b {
					acknowledged[name(e)] = true
				}
				mu.Unlock()
				if i == 3 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 16 {
		<-started
	}
	mustClose(t, s)
	writers.Wait()

	stored := map[string]int{}
	for _, e := range rest(t, open(t, in(fs))) {
		stored[name(e)]++
	}
	for n, times := range stored {
		if times != 1 || !acknowledged[n] {
			t.Errorf("%s is stored %d times, acknowledged: %t", n, times, acknowledged[n])
		}
	}
	if len(stored) != len(acknowledged) {
		t.Errorf("%d events are stored, %d were acknowledged", len(stored), len(acknowledged))
	}
}

func TestAClosedSpoolRefuses(t *testing.T) {
	s := open(t, in(memory(t)))
	mustAppend(t, s, "a", 1)
	b := mustNext(t, s, 0)
	mustClose(t, s)
	mustClose(t, s)
	for _, test := range []struct {
		name string
		call func() error
	}{
		{"append", func() error { return s.Append(t.Context(), beacon("b", 1)) }},
		{"append lines", func() error { _, err := s.AppendLines(t.Context(), []Line{{}}); return err }},
		{"next", func() error { _, err := s.Next(t.Context(), 1, 0); return err }},
		{"done", func() error { return s.Done(b) }},
		{"read", func() error { _, err := s.Read(b.Range); return err }},
		{"release", func() error { return s.Release(1) }},
		{"forget", func() error { return s.Forget(1) }},
	} {
		if err := test.call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v, want %v", test.name, err, ErrClosed)
		}
	}
}

func TestASecondProcessIsTold(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
	}{
		{"in memory", in(memory(t))},
		{"on disk", Options{Dir: t.TempDir() + "/spool"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			open(t, test.o)
			if _, err := Open(test.o); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "another passalong uses this data directory") {
				t.Errorf("got %v, want %v", err, ErrLocked)
			}
		})
	}
}
