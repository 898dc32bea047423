package spool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var diskRounds = flag.Int("disk-rounds", 0, "how often the small disk is filled and freed; 0: 4 times, in make torture 20")

// smallDisk mounts a disk of its own, so that it can really be full.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("NOT TESTED: a full disk. This needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a stranger's file until not a byte is left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	for size := 1 << 20; size > 0; size /= 4 {
		chunk := make([]byte, size)
		for {
			if _, err := f.Write(chunk); errors.Is(err, unix.ENOSPC) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t, f.Close())
}

// A disk of 64 MB that a stranger fills to the last byte and frees, again and
// again, while readers write and a loader loads: events are refused while it is
// full and taken afterwards by the same process, and all that were taken come
// out once.
func TestASmallDiskFilledAndFreedAgainAndAgain(t *testing.T) {
	t.Run("as it is", func(t *testing.T) { fillAndFree(t, 0) })
	// Then Pebble meets the full disk itself, with writes cut in the middle.
	t.Run("with nothing kept free", func(t *testing.T) { fillAndFree(t, 1) })
}

func fillAndFree(t *testing.T, reserve int64) {
	rounds := *diskRounds
	if rounds == 0 {
		rounds = 4
		if os.Getenv("TORTURE") != "" {
			rounds = 20
		}
	}
	dir := smallDisk(t, 64)
	var log journal
	s := open(t, Options{Dir: filepath.Join(dir, "spool"), Reserve: reserve, Logger: log.logger()})
	s.gate.mu.Lock()
	s.gate.holds = 50 * time.Millisecond // the time is not what is tested here
	s.gate.mu.Unlock()
	var mu sync.Mutex
	taken, refused, unknown := map[string]bool{}, map[string]bool{}, map[string]bool{}
	loaded := map[string]int{}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var pages [4]string
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range pages { // that do not compress
		b := make([]byte, 500<<i)
		for j := range b {
			b[j] = byte('a' + rng.IntN(26))
		}
		pages[i] = string(b)
	}
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				b := beacon(fmt.Sprintf("%d-%d", w, i), 1+i%2)
				for _, e := range b {
					e.Title = pages[i%4]
				}
				limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				err := s.Append(limited, b)
				cancel()
				mu.Lock()
				for _, e := range b {
					switch {
					case err == nil:
						taken[name(e)] = true
					case errors.Is(err, ErrFull):
						refused[name(e)] = true
					default:
						unknown[name(e)] = true
					}
				}
				mu.Unlock()
				if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("append: %v", err)
					return
				}
				if err != nil {
					time.Sleep(time.Millisecond) // a reader's browser waits longer
				}
			}
		})
	}
	idle := make(chan bool, 1) // holds a token while nobody loads
	take := func(b *Batch) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range events(t, b) {
			loaded[name(e)]++
		}
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case idle <- true:
				<-idle
			case <-ctx.Done():
				return
			}
			b, err := s.Next(ctx, 5000, 50*time.Millisecond)
			if err != nil {
				return
			}
			take(b)
			if s.Done(b) != nil || s.Release(b.To) != nil {
				t.Error("the way out ended")
				return
			}
		}
	})

	foreign := filepath.Join(dir, "foreign")
	probes := 0
	probe := func() error {
		probes++
		limited, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := s.Append(limited, beacon(fmt.Sprint("probe-", probes), 1))
		mu.Lock()
		defer mu.Unlock()
		one := fmt.Sprintf("probe-%d/0", probes)
		switch {
		case err == nil:
			taken[one] = true
		case errors.Is(err, ErrFull):
			refused[one] = true
		default:
			unknown[one] = true
		}
		return err
	}
	until := func(what string, reached func(error) bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			err := probe()
			if reached(err) {
				return
			}
			if time.Now().After(deadline) || s.Err() != nil {
				t.Fatalf("%s: still %v; %+v\n%s", what, err, s.Stats(), &log)
			}
			time.Sleep(time.Millisecond)
		}
	}
	for round := range rounds {
		if round%2 == 1 {
			idle <- true // the way out stands still: what is stored grows
		}
		until("room", func(err error) bool { return err == nil })
		fill(t, foreign)
		until("full", func(err error) bool {
			if errors.Is(err, ErrFull) {
				return true
			}
			fill(t, foreign+"2") // what Pebble has deleted meanwhile, too
			return false
		})
		fill(t, foreign+"2") // and what the ballast has left
		for range 20 {
			if err := probe(); err == nil && reserve == 0 {
				t.Fatalf("round %d: taken while the disk is full: %+v", round, s.Stats())
			}
		}
		if full := s.Stats().Full; full != "disk" && reserve == 0 {
			t.Errorf("round %d: full is %q", round, full)
		}
		must(t, errors.Join(os.Remove(foreign), os.Remove(foreign+"2")))
		if round%2 == 1 {
			<-idle
		}
	}
	until("room at the end", func(err error) bool { return err == nil })
	stop()
	wg.Wait()
	for s.Stats().Rows > 0 {
		b := mustNext(t, s, 0)
		take(b)
		must(t, s.Done(b))
	}
	mustClose(t, s)
	for n := range taken {
		if loaded[n] != 1 {
			t.Errorf("%s was acknowledged and came out %d times", n, loaded[n])
		}
	}
	for n := range refused {
		if loaded[n] != 0 {
			t.Errorf("%s was refused and came out", n)
		}
	}
	if len(taken) == 0 || len(refused) == 0 {
		t.Errorf("%d taken, %d refused", len(taken), len(refused))
	}
	t.Logf("%d rounds: %d events taken, %d refused, %d of unknown outcome; the ballast was given up %d times",
		rounds, len(taken), len(refused), len(unknown), strings.Count(log.String(), "the ballast was given up"))
}

// startAndSay is a child process, because a start that fails in the middle leaves
// Pebble half open.
func startAndSay(dir string) {
	_, err := Open(Options{Dir: dir, Version: "2.0.0"})
	fmt.Println(err)
}

// A newer version starts on a spool that is full: it takes over what is there,
// goes on refusing until the loader has made room, and loses nothing. On a disk
// without a byte left the ballast is given up for the start; where there is none
// the start fails, says why, and changes nothing.
func TestAnUpgradeWithAFullSpool(t *testing.T) {
	limited := func(version string, fs FS) Options {
		o := in(fs)
		o.Version, o.Limit = version, 20_000
		return o
	}
	t.Run("full by its limit", func(t *testing.T) {
		fs := memory(t)
		s := open(t, limited("1.0.0", fs))
		var held []string
		var err error
		for i := 0; err == nil; i++ {
			b := beacon(fmt.Sprint("b", i), 2)
			if err = s.Append(t.Context(), b); err == nil {
				held = append(held, names(b))
			}
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		first := mustNext(t, s, 20)
		must(t, s.Done(first))
		second := mustNext(t, s, 20)
		id := s.ID()
		mustClose(t, s)

		s = open(t, limited("2.0.0", fs))
		if err := s.Append(t.Context(), beacon("more", 2)); !errors.Is(err, ErrFull) || s.Stats().Full != "limit" {
			t.Errorf("got %v, %+v", err, s.Stats())
		}
		if s.ID() != id || len(s.Stats().SetAside) > 0 {
			t.Errorf("id %s was %s, %+v", s.ID(), id, s.Stats())
		}
		if b := mustNext(t, s, 0); b.Range != second.Range || !b.Again {
			t.Errorf("batch %v comes as %v", second.Range, b.Range)
		}
		b, err := s.Read(Range{0, s.Stats().NextRow})
		must(t, err)
		if got := names(events(t, b)); got != strings.Join(held, " ") {
			t.Errorf("holds %s\nwant  %s", got, strings.Join(held, " "))
		}
		must(t, s.Release(first.To))
		mustAppend(t, s, "more", 1)
	})
	for _, ballast := range []bool{true, false} {
		t.Run(fmt.Sprintf("on a disk that is full, ballast %t", ballast), func(t *testing.T) {
			disk := smallDisk(t, 64)
			dir, foreign := filepath.Join(disk, "spool"), filepath.Join(disk, "foreign")
			s := open(t, Options{Dir: dir, Version: "1.0.0"})
			var held []string
			for i := range 40 { // the start has a log to write out as a table
				b := heavy(fmt.Sprint("b", i))
				must(t, s.Append(t.Context(), b))
				held = append(held, names(b))
			}
			mustClose(t, s)
			if !ballast {
				must(t, os.Remove(filepath.Join(dir, ballastName)))
			}
			fill(t, foreign)

			if !ballast {
				out, err := child(t, "start", dir).CombinedOutput()
				must(t, err)
				if !strings.Contains(string(out), unix.ENOSPC.Error()) {
					t.Fatalf("got %s, want an error that says that no space is left", out)
				}
				must(t, os.Remove(foreign))
			}
			s, err := Open(Options{Dir: dir, Version: "2.0.0"})
			must(t, err)
			if ballast {
				if err := s.Append(t.Context(), beacon("more", 1)); !errors.Is(err, ErrFull) {
					t.Errorf("got %v, want %v", err, ErrFull)
				}
				must(t, os.Remove(foreign))
			}
			if got := names(rest(t, s)); got != strings.Join(held, " ") || len(s.Stats().SetAside) > 0 {
				t.Errorf("holds %s, %+v", got, s.Stats())
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
				if err := s.Append(t.Context(), beacon("more", 1)); err == nil {
					break
				} else if !errors.Is(err, ErrFull) || time.Now().After(deadline) {
					t.Fatal(err)
				}
			}
			mustClose(t, s)
		})
	}
}
