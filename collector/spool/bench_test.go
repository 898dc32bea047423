package spool

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

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

// BenchmarkFsync is the yardstick: one append and fsync an event, on the same
// disk.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	must(b, err)
	record := make([]byte, 600)
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(record); err != nil {
			b.Fatal(err)
		}
		must(b, f.Sync())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	must(b, f.Close())
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
