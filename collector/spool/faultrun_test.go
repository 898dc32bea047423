package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/passalong/passalong/collector/event"
)

// faultRun is one life of a spool on a faulty disk, and what it was told.
type faultRun struct {
	disk     *faulty
	fs       FS
	s        *Spool
	taken    []string        // acknowledged, in order
	refused  map[string]bool // refused with ErrFull: must never be seen
	done     map[string]bool // loaded and marked: may be gone
	problems []string
	ended    string // why the spool ended
}

func (r *faultRun) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// heavy is a beacon of which few fill a memtable.
func heavy(name string) []*event.Event {
	b := beacon(name, 1)
	b[0].Title = strings.Repeat(name+" ", 40_000/(len(name)+1))
	return b
}

// start opens the spool. Without space the next process does, once there is some.
func (r *faultRun) start() bool {
	var err error
	if r.s, err = Open(in(r.fs)); err != nil {
		if hit, fsync, _ := r.disk.seen(); r.disk.mode == spaceOnce && !fsync && !strings.HasSuffix(hit, ".sst") {
			r.problem("open: %v", err)
		}
		if errors.Is(err, ErrDamaged) {
			r.problem("a disk that fails was taken for damage: %v", err)
		}
		if !r.nextProcess() {
			return false
		}
		if r.s, err = Open(in(r.fs)); err != nil {
			r.problem("open with space: %v", err)
			return false
		}
	}
	r.s.gate.mu.Lock()
	r.s.gate.holds = 0 // the time is not what is tested here
	r.s.gate.mu.Unlock()
	r.s.patience = 50 * time.Millisecond
	return true
}

// nextProcess makes space, and a disk as the next process finds it, with all that
// the system has of the files. Where the disk is broken for good there is none.
func (r *faultRun) nextProcess() bool {
	r.disk.lift()
	if r.disk.mode != spaceOnce && r.disk.mode != spaceUntil {
		return false
	}
	r.disk.mu.Lock()
	r.disk.mem = r.disk.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	r.disk.mu.Unlock()
	r.fs = errorfs.Wrap(r.disk.mem, r.disk)
	r.disk.lift()
	return true
}

// watch looks at what is answered once the disk is full. The function it returns
// ends that.
func (r *faultRun) watch() (end func()) {
	if r.disk.mode != spaceUntil || r.disk.over() {
		return func() {}
	}
	s, watched := r.s, make(chan []string)
	ctx, over := context.WithCancel(context.Background())
	go func() {
		select {
		case <-r.disk.met:
			watched <- r.whileFull(s)
		case <-ctx.Done():
			watched <- nil
		}
	}()
	return func() {
		over()
		for _, n := range <-watched {
			r.refused[n] = true
		}
	}
}

// live opens, appends, loads, releases, and starts again in the middle. It
// returns early when the spool ends.
func (r *faultRun) live() {
	if !r.start() {
		return
	}
	end := r.watch()
	defer func() { end() }()
	var last *Batch
	for i := range 24 {
		if i == 15 { // the start has a log to write out as a table
			err := r.s.Close()
			end()
			end = func() {}
			if err != nil && !r.closing(err) {
				return
			}
			if !r.start() {
				return
			}
			end, last = r.watch(), nil
		}
		if !r.append(fmt.Sprint("b", i)) {
			return
		}
		if i%6 != 5 {
			continue
		}
		b, err := r.s.Next(context.Background(), 0, 0)
		if err == nil {
			err = r.s.Done(b)
		}
		if r.over(err) {
			return
		}
		for _, e := range events(failer{r}, b) {
			r.done[name(e)] = true
		}
		if last != nil && r.over(r.s.Release(last.To)) {
			return
		}
		last = b
	}
}

// closing looks at an error of Close, and says whether another process goes on.
func (r *faultRun) closing(err error) bool {
	if !r.disk.final() && !(r.disk.mode == spaceUntil && noSpace(err)) {
		r.problem("close: %v", err)
	}
	if errors.Is(err, ErrFailed) {
		r.ended = err.Error()
	}
	return r.nextProcess()
}

// failer is where a helper of the tests reports to.
type failer struct{ r *faultRun }

func (f failer) Fatal(args ...any) { f.r.problem("%s", fmt.Sprint(args...)) }

// append goes on until b is taken, under a new name each time, and says whether
// the spool still lives.
func (r *faultRun) append(b string) bool {
	deadline := time.Now().Add(20 * time.Second)
	for try := 0; ; try++ {
		one := fmt.Sprintf("%s.%d", b, try)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := r.s.Append(ctx, heavy(one))
		cancel()
		switch {
		case err == nil:
			r.taken = append(r.taken, one+"/0")
			return true
		case errors.Is(err, ErrFull):
			r.refused[one+"/0"] = true
			if r.disk.mode == brokenOnce || r.disk.mode == brokenFrom {
				r.problem("append: %v", err)
			}
			if time.Now().After(deadline) {
				r.problem("append: still full: %v", err)
				return false
			}
			time.Sleep(time.Millisecond) // the next look at the disk is what is waited for
		default:
			return !r.over(err)
		}
	}
}

// whileFull looks at what is answered while no byte can be written, and then
// makes room. It returns the events that were refused.
func (r *faultRun) whileFull(s *Spool) (refused []string) {
	defer r.disk.lift()
	for i := range 100 {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		one := fmt.Sprint("full", i)
		err := s.Append(ctx, heavy(one))
		cancel()
		switch {
		case err == nil:
			return append(refused, acknowledgedWithout)
		case errors.Is(err, ErrFull):
			return append(refused, one+"/0")
		case errors.Is(err, ErrFailed), errors.Is(err, ErrClosed):
			return refused // the writer tells
		}
	}
	return append(refused, neverRefused)
}

const (
	acknowledgedWithout = "acknowledged"
	neverRefused        = "never refused"
)

// over notes why the spool ended, when err says so.
func (r *faultRun) over(err error) bool {
	if err == nil {
		return false
	}
	r.ended = err.Error()
	if !errors.Is(err, ErrFailed) {
		r.problem("got %v, want %v", err, ErrFailed)
	}
	select {
	case <-r.s.Failed():
	default:
		r.problem("Failed is not closed")
	}
	if !r.disk.final() {
		r.problem("the spool ended: %v", err)
	}
	return true
}

// check opens an image of the disk and looks for everything promised.
func (r *faultRun) check(fs FS, when string) {
	var log journal
	o := in(fs)
	o.Logger = log.logger()
	s, err := Open(o)
	if err != nil {
		r.problem("%s: open: %v", when, err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			r.problem("%s: close: %v", when, err)
		}
	}()
	st := s.Stats()
	if len(st.SetAside) > 0 {
		r.problem("%s: set aside: %s", when, &log)
	}
	first := st.Mark
	if loaded := s.Loaded(); len(loaded) > 0 {
		first = loaded[0].From
	}
	b, err := s.Read(Range{first, st.NextRow})
	if err != nil {
		r.problem("%s: %v", when, err)
		return
	}
	stored := map[string]int{}
	for _, e := range events(failer{r}, b) {
		stored[name(e)]++
		if r.refused[name(e)] {
			r.problem("%s: %s was refused and is stored", when, name(e))
		}
	}
	for _, n := range []string{acknowledgedWithout, neverRefused} {
		if r.refused[n] {
			r.problem("while no byte could be written: %s", n)
		}
	}
	for _, n := range r.taken {
		if stored[n] != 1 && !(stored[n] == 0 && r.done[n]) {
			r.problem("%s: %s was acknowledged and is stored %d times", when, n, stored[n])
		}
	}
	if err := s.Append(context.Background(), beacon("after", 1)); err != nil {
		r.problem("%s: append: %v", when, err)
	}
}

// lead runs one spool with the fault of mode at index, and returns what is wrong.
func lead(mode string, index int) *faultRun {
	mem := vfs.NewCrashableMem()
	disk := &faulty{mode: mode, index: index, mem: mem, met: make(chan struct{})}
	r := &faultRun{disk: disk, fs: errorfs.Wrap(mem, disk), refused: map[string]bool{}, done: map[string]bool{}}
	if err := errors.Join(mem.MkdirAll("/data", 0o755), syncDir(mem, "/")); err != nil {
		r.problem("%v", err)
		return r
	}
	disk.lift()
	r.live()
	mem = disk.mem
	rng := rand.New(rand.NewPCG(uint64(index), 0))
	r.check(mem.CrashClone(vfs.CrashCloneCfg{}), "power lost")
	r.check(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}), "power lost with half of what was not synced on disk")
	if r.s != nil {
		if err := r.s.Close(); err != nil {
			r.closing(err)
		} else if r.ended != "" && disk.mode != spaceOnce && disk.mode != spaceUntil {
			r.problem("close: got no error, want %v", ErrFailed)
		}
		r.check(mem.CrashClone(vfs.CrashCloneCfg{}), "closed")
	}
	return r
}
