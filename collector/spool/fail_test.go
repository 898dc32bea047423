package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// breaking is a file system on which an operation on files of some name fails
// once and then works again, as a kernel does that has dropped the pages.
type breaking struct {
	armed  atomic.Bool
	broken atomic.Int32
	kinds  []errorfs.OpKind
	suffix string
}

func (b *breaking) String() string { return "breaking" }

func (b *breaking) MaybeError(op errorfs.Op) error {
	for _, kind := range b.kinds {
		if op.Kind == kind && strings.Contains(op.Path, b.suffix) && b.armed.CompareAndSwap(true, false) {
			b.broken.Add(1)
			return syscall.EIO
		}
	}
	return nil
}

func TestAFailedFsyncIsFinal(t *testing.T) {
	syncs := []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
	for _, test := range []struct {
		name   string
		breaks *breaking
	}{
		{"fsync of the log", &breaking{kinds: syncs, suffix: ".log"}},
		{"write of the log", &breaking{kinds: []errorfs.OpKind{errorfs.OpFileWrite}, suffix: ".log"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			mem := memory(t)
			s := open(t, in(errorfs.Wrap(mem, test.breaks)))
			mustAppend(t, s, "a", 1)
			b := mustNext(t, s, 0)

			test.breaks.armed.Store(true)
			for i := 0; ; i++ { // the write may be put off to the next flush of the log's buffer
				err := s.Append(t.Context(), beacon("lost", 1))
				if err != nil {
					if !errors.Is(err, ErrFailed) {
						t.Fatalf("got %v, want %v", err, ErrFailed)
					}
					break
				}
				if i > 1000 {
					t.Fatal("the failure was not met")
				}
			}
			select {
			case <-s.Failed():
			default:
				t.Error("Failed is not closed")
			}
			for _, call := range []struct {
				name string
				call func() error
			}{
				{"append", func() error { return s.Append(t.Context(), beacon("b", 1)) }},
				{"lines", func() error { _, err := s.AppendLines(t.Context(), []Line{line(1, 1, 1)}); return err }},
				{"next", func() error { _, err := s.Next(t.Context(), 1, 0); return err }},
				{"done", func() error { return s.Done(b) }},
				{"release", func() error { return s.Release(1) }},
			} {
				if err := call.call(); !errors.Is(err, ErrFailed) {
					t.Errorf("%s: got %v, want %v", call.name, err, ErrFailed)
				}
			}
			if !s.Stats().Failed || !errors.Is(s.Err(), ErrFailed) {
				t.Errorf("got %+v, %v", s.Stats(), s.Err())
			}
			if err := s.Close(); !errors.Is(err, ErrFailed) {
				t.Errorf("close: got %v, want %v", err, ErrFailed)
			}

			again := open(t, in(mem.CrashClone(vfs.CrashCloneCfg{})))
			if got := names(rest(t, again)); !strings.HasPrefix(got, "a/0") || strings.Contains(got, "b/0") {
				t.Errorf("after a restart there is %s", got)
			}
		})
	}
}

func TestEverybodyWhoWaitsHearsOfTheFailure(t *testing.T) {
	breaks := &breaking{kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, suffix: ".log"}
	s := open(t, in(errorfs.Wrap(memory(t), breaks)))
	var writers sync.WaitGroup
	var once sync.Once
	for w := range 32 {
		writers.Go(func() {
			for i := 0; ; i++ {
				if err := s.Append(context.Background(), beacon(fmt.Sprint(w), 1)); err != nil {
					if !errors.Is(err, ErrFailed) {
						t.Errorf("got %v, want %v", err, ErrFailed)
					}
					return
				}
				if i == 5 {
					once.Do(func() { breaks.armed.Store(true) })
				}
			}
		})
	}
	waiting := make(chan error)
	go func() {
		for {
			b, err := s.Next(context.Background(), 1<<20, time.Hour)
			if err != nil {
				waiting <- err
				return
			}
			_ = s.Done(b) // its failure is Next's as well
		}
	}()
	writers.Wait()
	if err := <-waiting; !errors.Is(err, ErrFailed) {
		t.Errorf("next: got %v, want %v", err, ErrFailed)
	}
}

// openUnwritable is a child process, because Pebble stops in the middle of its
// Open: a file whose name holds one of these texts cannot be made or synced.
func openUnwritable(string) {
	for _, text := range []string{"MANIFEST", ".log", ".dbtmp", labelName, "marker"} {
		mem := vfs.NewCrashableMem()
		err := errors.Join(mem.MkdirAll("/data", 0o755), syncDir(mem, "/"))
		breaks := &breaking{kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpCreate}, suffix: text}
		breaks.armed.Store(true)
		if err == nil {
			_, err = Open(in(errorfs.Wrap(mem, breaks)))
		}
		if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
			fmt.Printf("%s: open: %v\n", text, err)
		}
		s, err := Open(in(mem.CrashClone(vfs.CrashCloneCfg{})))
		if err == nil {
			err = errors.Join(s.Append(context.Background(), beacon("a", 1)), s.Close())
		}
		if err != nil {
			fmt.Printf("%s: then: %v\n", text, err)
		} else if len(s.Stats().SetAside) > 0 {
			fmt.Printf("%s: set aside\n", text)
		}
	}
}

func TestASpoolThatCannotBeWrittenDoesNotOpen(t *testing.T) {
	if out, err := child(t, "unwritable", "").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// breakManifest is a child process: the fsync of Pebble's manifest fails in the
// background, where nobody waits for it. Pebble hangs from then on, which is why
// this has a process of its own.
func breakManifest(dir string) {
	breaks := &breaking{kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData}, suffix: "MANIFEST"}
	s, err := Open(Options{Dir: dir, FS: errorfs.Wrap(vfs.Default, breaks), Reserve: 1 << 20})
	report := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	if err != nil {
		report("open: %v", err)
		return
	}
	// What is released is flushed half a second later, and the flush writes the
	// manifest.
	if err = s.Append(context.Background(), beacon("first", 1)); err == nil {
		var b *Batch
		if b, err = s.Next(context.Background(), 0, 0); err == nil {
			err = errors.Join(s.Done(b), s.Release(b.To))
		}
	}
	breaks.armed.Store(true)
	acknowledged := 0
	for err == nil && acknowledged < 100_000 {
		if err = s.Append(context.Background(), beacon(fmt.Sprint("b", acknowledged), 1)); err == nil {
			acknowledged++
		}
	}
	report("broken %d", breaks.broken.Load())
	report("acknowledged %d", acknowledged)
	if !errors.Is(err, ErrFailed) {
		report("append: %v", err)
	}
	<-s.Failed()
	if err := s.Append(context.Background(), beacon("late", 1)); !errors.Is(err, ErrFailed) {
		report("append after it: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		report("close: %v", err)
	}
	report("ended")
}

func TestAManifestThatCannotBeWrittenEndsTheSpool(t *testing.T) {
	dir := t.TempDir() + "/spool"
	out, err := child(t, "manifest", dir).CombinedOutput()
	must(t, err)
	var acknowledged int
	if n, err := fmt.Sscanf(string(out), "broken 1\nacknowledged %d\nended\n", &acknowledged); n != 1 || err != nil || acknowledged == 0 {
		t.Fatalf("the child said:\n%s", out)
	}
	s := open(t, Options{Dir: dir, Reserve: 1 << 20})
	if st := s.Stats(); st.Rows < uint64(acknowledged) || len(st.SetAside) > 0 {
		t.Errorf("%d events were acknowledged, and there is %+v", acknowledged, st)
	}
	if events := rest(t, s); name(events[acknowledged-1]) != fmt.Sprintf("b%d/0", acknowledged-1) {
		t.Errorf("the last acknowledged row holds %s", name(events[acknowledged-1]))
	}
}
