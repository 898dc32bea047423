//go:build linux

package yardstick

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkSteady loads the collector for minutes and prints every 30 seconds
// what it holds: nothing may grow.
//
//	go test -run '^$' -bench Steady -timeout 30m ./collector/yardstick -yardstick.minutes=10
func BenchmarkSteady(b *testing.B) {
	if *minutes == 0 {
		b.Skip("give -yardstick.minutes=10 to see what memory, goroutines and descriptors do over ten minutes")
	}
	s := startWhole(b)
	o := order{Warm: 5 * time.Second, Window: time.Duration(*minutes * float64(time.Minute)), Seed: seed()}
	r := measure(b, s, o, func() {
		began := time.Now()
		for next := began; next.Before(began.Add(o.Window - time.Second)); next = next.Add(min(30*time.Second, o.Window/4)) {
			time.Sleep(time.Until(next))
			f, err := s.figures()
			if err != nil {
				b.Fatal(err)
			}
			now, peak := resident(s.pid())
			engine := 0
			for _, pid := range descendants(s.pid()) {
				rss, _ := resident(pid)
				engine += rss
			}
			fmt.Printf("%7s  collector %4.0f MB (at most %.0f)  heap %3.0f MB  goroutines %4.0f  descriptors %3d  rows waiting %7.0f  engine %4.0f MB\n",
				time.Since(began).Round(time.Second), mb(now), mb(peak), f["go_memstats_heap_alloc_bytes"]/1e6,
				f["go_goroutines"], descriptors(s.pid()), f["passalong_spool_rows"], mb(engine))
		}
	})
	b.ReportMetric(r.perSecond(), "beacons/s")
	b.ReportMetric(mb(r.peak), "MB-at-most")
	b.ReportMetric(0, "ns/op")
}
