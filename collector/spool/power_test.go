package spool

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var (
	powerCuts = flag.Int("power-cuts", 0, "crash images of the spool to look at; 0: 150, in make torture 10,000, with TORTURE=long 50,000")
	powerSeed = flag.Uint64("power-seed", 20261124, "their seed")
)

// image is what a power cut leaves, with what had been promised by then.
type image struct {
	fs           *vfs.MemFS
	acknowledged []int   // beacons of each writer, in order
	cuts         []Range // given out
	mark         uint64
	released     uint64
}

// TestPowerCutAtAnyMoment cuts the power again and again while writers append
// and a loader loads, with some of what was not synced on the disk by chance.
func TestPowerCutAtAnyMoment(t *testing.T) {
	const writers, filesPerSpool = 4, 30
	if *powerCuts == 0 {
		*powerCuts = map[string]int{"": 150, "long": 50_000}[os.Getenv("TORTURE")]
		if *powerCuts == 0 {
			*powerCuts = 10_000
		}
	}
	rng := rand.New(rand.NewPCG(*powerSeed, 1))
	for done := 0; done < *powerCuts; {
		n := min(filesPerSpool, *powerCuts-done)
		for i, image := range cutPower(t, rng, writers, n) {
			checkImage(t, image, fmt.Sprintf("image %d of %d (repeat: go test ./collector/spool -run %s -power-cuts %d -power-seed %d)",
				done+i, *powerCuts, t.Name(), *powerCuts, *powerSeed))
			if t.Failed() {
				return
			}
		}
		done += n
	}
}

// cutPower runs one spool and takes n images of its file system.
func cutPower(t *testing.T, rng *rand.Rand, writers, n int) []image {
	fs := memory(t)
	o := in(fs)
	s := open(t, o)
	ctx, stop := context.WithCancel(t.Context())
	acknowledged := make([]atomic.Int64, writers)
	// Writers get as many beacons as the next image asks for, so that images stay
	// small, and it is taken while some of them are under way.
	permits, acks := make(chan struct{}, 16), make(chan struct{}, 16)
	var mu sync.Mutex // what the loader was told
	var told image
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := 0; ; i++ {
				if _, more := <-permits; !more {
					return
				}
				b := beacon(fmt.Sprintf("%d-%d", w, i), 1+(w+i)%3)
				if w == 0 && i%25 == 24 { // larger than a block of Pebble's log
					b[0].Title = strings.Repeat("long ", 8000)
				}
				if err := s.Append(context.Background(), b); err != nil {
					t.Errorf("append: %v", err)
				}
				acknowledged[w].Store(int64(i + 1))
				acks <- struct{}{}
			}
		})
	}
	wg.Go(func() {
		for round := 0; ctx.Err() == nil; round++ {
			b, err := s.Next(ctx, 20, 0)
			if err != nil {
				return
			}
			mu.Lock()
			told.cuts = append(told.cuts, b.Range)
			mu.Unlock()
			if s.Done(b) != nil {
				return
			}
			mu.Lock()
			told.mark = b.To
			if round%7 == 6 {
				told.released = b.From // from now on it may be gone
			}
			to := told.released
			mu.Unlock()
			if s.Release(to) != nil {
				return
			}
		}
	})

	images := make([]image, n)
	for i := range images {
		n := 4 + rng.IntN(12)
		for range n {
			permits <- struct{}{}
		}
		wait := rng.IntN(n)
		for range wait {
			<-acks
		}
		promised := make([]int, writers)
		for w := range promised {
			promised[w] = int(acknowledged[w].Load())
		}
		mu.Lock()
		images[i] = image{acknowledged: promised, cuts: append([]Range(nil), told.cuts...), mark: told.mark, released: told.released}
		mu.Unlock()
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 40, RNG: rng}
		images[i].fs = fs.CrashClone(cfg)
		mu.Lock()
		images[i].released = told.released // a release may have come between
		mu.Unlock()
		for range n - wait {
			<-acks
		}
	}
	close(permits)
	stop()
	wg.Wait()
	mustClose(t, s)
	return images
}

func checkImage(t *testing.T, want image, which string) {
	t.Helper()
	var log journal
	o := in(want.fs)
	o.Logger = log.logger()
	s, err := Open(o)
	if err != nil {
		t.Errorf("%s: %v", which, err)
		return
	}
	defer mustClose(t, s)
	st := s.Stats()
	if len(st.SetAside) > 0 {
		t.Errorf("%s: a power cut was taken for damage: %s", which, &log)
		return
	}
	if st.Mark < want.mark {
		t.Errorf("%s: the mark is at %d, and was at %d", which, st.Mark, want.mark)
	}
	// Boundaries told to the loader hold, as far as they are still stored.
	stored := map[Range]bool{}
	for _, r := range s.Loaded() {
		stored[r] = true
	}
	lowest := st.NextRow
	for r := range stored {
		lowest = min(lowest, r.From)
	}
	lowest = min(lowest, st.Mark)
	for _, r := range want.cuts {
		if r.From >= lowest && r.To <= st.Mark && !stored[r] {
			t.Errorf("%s: batch %v is not there as it was cut; loaded: %v", which, r, s.Loaded())
		}
		if r.To > st.NextRow {
			t.Errorf("%s: batch %v was given out, and the spool ends at %d", which, r, st.NextRow)
		} else if r.From == st.Mark {
			if b := mustNext(t, s, 1); b.Range != r || !b.Again {
				t.Errorf("%s: batch %v came back as %v", which, r, b.Range)
			}
		}
	}
	if lowest > want.released {
		t.Errorf("%s: rows below %d are gone, %d was released", which, lowest, want.released)
	}
	// Every acknowledged event is there once, in its writer's order.
	b, err := s.Read(Range{lowest, st.NextRow})
	if err != nil {
		t.Errorf("%s: %v", which, err)
		return
	}
	next := make(map[int]int)
	var w, i, last int
	lastWriter := -1
	all := events(t, b)
	for at, e := range all {
		writer, number, _ := strings.Cut(e.View, "-")
		w, err = strconv.Atoi(writer)
		must(t, err)
		i, err = strconv.Atoi(number)
		must(t, err)
		if e.Item > 0 {
			if at > 0 && (lastWriter != w || last != i || all[at-1].Item != e.Item-1) {
				t.Errorf("%s: row %d is %s, after %s", which, lowest+uint64(at), name(e), name(all[at-1]))
			}
			continue
		}
		if expected, seen := next[w]; seen && expected != i {
			t.Errorf("%s: writer %d: beacon %d comes where %d should", which, w, i, expected)
		}
		next[w], lastWriter, last = i+1, w, i
	}
	for w, n := range want.acknowledged {
		if next[w] < n && (lowest == 0 || next[w] > 0) {
			t.Errorf("%s: writer %d: %d beacons were acknowledged, the last stored is %d", which, w, n, next[w]-1)
		}
	}
}

// The power goes at each call to the file system of a first start, of a second
// one, of one that sets damage aside, and of an orderly stop: the next start
// makes something of every one of them.
func TestPowerCutWhileOpening(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(*testing.T, FS)
		rows    uint64
		aside   int
	}{
		{"a first start", func(*testing.T, FS) {}, 0, 0},
		{"a second start", func(t *testing.T, fs FS) {
			s := open(t, in(fs))
			mustAppend(t, s, "a", 3)
			mustClose(t, s)
		}, 3, 0},
		{"a start that sets damage aside", func(t *testing.T, fs FS) {
			s := open(t, in(fs))
			mustAppend(t, s, "a", 3)
			mustClose(t, s)
			raw(t, fs, func(db *pebble.DB) { must(t, db.Delete(keyID, pebble.Sync)) })
		}, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			mem := memory(t)
			test.prepare(t, mem)
			rng := rand.New(rand.NewPCG(*powerSeed, 2))
			var mu sync.Mutex
			var images []*vfs.MemFS
			var what []string
			watch := errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
					mu.Lock()
					defer mu.Unlock()
					unsynced := len(images) % 2 * 50
					images = append(images, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng}))
					what = append(what, fmt.Sprintf("before write %d, %s, with %d %% of what was not synced (seed %d)", len(images), op.Path, unsynced, *powerSeed))
				}
				return nil
			})
			s, err := Open(in(errorfs.Wrap(mem, watch)))
			must(t, err)
			mustClose(t, s)
			for i, fs := range images {
				var log journal
				o := in(fs)
				o.Logger = log.logger()
				s, err := Open(o)
				if err != nil {
					t.Fatalf("%s: %v", what[i], err)
				}
				// In this model of a disk a rename may leave both names: then two are aside.
				if st := s.Stats(); st.Rows != test.rows || min(len(st.SetAside), 1) != test.aside {
					t.Errorf("%s: got %d rows, set aside %v\n%s", what[i], st.Rows, st.SetAside, &log)
				}
				mustAppend(t, s, "b", 1)
				mustClose(t, s)
			}
			t.Logf("%d images", len(images))
		})
	}
}
