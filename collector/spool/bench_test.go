package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/event"
)

// BenchmarkAppend counts durable events a second by how many write at once. An
// event is of the size of a real one, some 430 bytes.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
			s, err := Open(Options{Dir: filepath.Join(b.TempDir(), "spool"), Reserve: 1 << 20})
			must(b, err)
			e := full()
			b.SetBytes(int64(e.SizeVT()))
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					events := beacon("bench", 1)
					events[0] = full()
					for next.Add(1) <= int64(b.N) {
						if err := s.Append(context.Background(), events); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			st := s.Stats()
			b.ReportMetric(float64(st.Events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(st.Events)/float64(max(st.Groups, 1)), "events/group")
			must(b, s.Close())
		})
	}
}

// BenchmarkGroupCommit holds group commit against one fsync an event, in one run
// on one disk: the figure x256 is how many times more durable events a second
// 256 writers get than one append and fsync of the same bytes after the other,
// to a plain file or through the spool, whichever is faster. One round measures
// each for a while; -count gives the spread.
func BenchmarkGroupCommit(b *testing.B) {
	const span = 400 * time.Millisecond
	dir := b.TempDir()
	s, err := Open(Options{Dir: filepath.Join(dir, "spool"), Reserve: 1 << 20})
	must(b, err)
	group := func(writers int) float64 {
		before, begin := s.Stats().Events, time.Now()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				events := []*event.Event{full()}
				for time.Since(begin) < span {
					if err := s.Append(context.Background(), events); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return float64(s.Stats().Events-before) / time.Since(begin).Seconds()
	}
	record, err := appendEvent(nil, full())
	must(b, err)
	plain := func() float64 {
		f, err := os.Create(filepath.Join(dir, "log"))
		must(b, err)
		begin, n := time.Now(), 0
		for ; time.Since(begin) < span; n++ {
			if _, err := f.Write(record); err != nil {
				b.Fatal(err)
			}
			must(b, f.Sync())
		}
		rate := float64(n) / time.Since(begin).Seconds()
		must(b, f.Close())
		return rate
	}
	group(64) // the first logs are begun
	b.ResetTimer()
	for range b.N {
		one := max(plain(), group(1), plain())
		b.ReportMetric(one, "one/s")
		for _, writers := range []int{64, 256, 1024} {
			rate := group(writers)
			b.ReportMetric(rate, fmt.Sprint(writers, "/s"))
			b.ReportMetric(rate/one, fmt.Sprint("x", writers))
		}
	}
	b.StopTimer()
	must(b, s.Close())
}

// BenchmarkNext reads, cuts, marks and releases, as a loader does.
func BenchmarkNext(b *testing.B) {
	s, err := Open(Options{Dir: filepath.Join(b.TempDir(), "spool"), Reserve: 1 << 20})
	must(b, err)
	e := full()
	group := beacon("bench", 1000)
	for i := range group {
		group[i] = e
	}
	for n := 0; n < b.N; n += len(group) {
		must(b, s.Append(context.Background(), group))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		batch, err := s.Next(context.Background(), 10_000, 0)
		must(b, err)
		must(b, s.Done(batch))
		must(b, s.Release(batch.To))
		must(b, batch.Walk(1024, func(_ uint64, run []event.Event) error {
			n += len(run)
			return nil
		}))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	must(b, s.Close())
}
