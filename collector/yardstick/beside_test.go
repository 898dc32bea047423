//go:build linux

package yardstick

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkWayIn is the speed of taking beacons: bare handler and whole
// collector in turn, each as fast as 64 connections get answers. It runs once,
// whatever -benchtime says; -count repeats it.
func BenchmarkWayIn(b *testing.B) {
	one, all := startBare(b), startWhole(b)
	next := func() order { return order{Warm: time.Second, Window: *window, Seed: seed()} }
	// Tables, caches and connections are there before anything counts.
	for _, s := range []*subject{one, all} {
		o := next()
		o.Window = time.Second
		measure(b, s, o, nil)
	}
	var rates []float64
	for i := range *rounds {
		var bare, whole round
		if i%2 == 0 {
			bare = measure(b, one, next(), nil)
		}
		whole = measure(b, all, next(), nil)
		if i%2 == 1 {
			bare = measure(b, one, next(), nil)
		}
		compare(bare, whole)
		rates = append(rates, whole.perSecond())
	}
	if *profile != "" {
		profiled(b, all, next())
	}
	b.ReportMetric(median(rates), "beacons/s")
	b.ReportMetric(0, "ns/op") // says nothing here
}

// profiled is a round more, in which the collector looks at itself; that costs
// too much to be measured.
func profiled(b *testing.B, s *subject, o order) {
	saved := make(chan error, 1)
	measure(b, s, o, func() {
		go func() {
			saved <- s.save(fmt.Sprintf("profile?seconds=%d", max(1, int(o.Window.Seconds()))), "processor.pprof")
		}()
	})
	if err := <-saved; err != nil {
		b.Fatal(err)
	}
	if err := s.save("allocs", "allocations.pprof"); err != nil {
		b.Fatal(err)
	}
}

const rateOfWhole = "rate: beacons a second, whole collector"

// seed is another one each time: no token is sent twice.
func seed() uint64 { return uint64(time.Now().UnixNano()) }

// compare notes what a pair of rounds has shown.
func compare(bare, whole round) {
	both := []float64{bare.generator, whole.generator}
	f := &report
	f.add("rate: beacons a second, bare handler", bare.perSecond(), bare.generator)
	f.add(rateOfWhole, whole.perSecond(), whole.generator)
	f.add("rate: whole / bare", whole.perSecond()/bare.perSecond(), both...)
	f.add("processor: µs a beacon, bare handler", bare.micros(bare.processor), bare.generator)
	f.add("processor: µs a beacon, collector with its loader", whole.micros(whole.processor), whole.generator)
	f.add("processor: collector / bare", whole.micros(whole.processor)/bare.micros(bare.processor), both...)
	f.add("processor: µs a beacon, engine", whole.micros(whole.engine), whole.generator)
	f.add("processor: µs a beacon, load generator on the bare", bare.Processor.Seconds()*1e6/float64(bare.Beacons), bare.generator)
	f.add("processor: µs a beacon, load generator on the whole", whole.Processor.Seconds()*1e6/float64(whole.Beacons), whole.generator)
	f.add("latency: p50 in ms, bare handler", ms(bare.P50), bare.generator)
	f.add("latency: p50 in ms, whole collector", ms(whole.P50), whole.generator)
	f.add("latency: p99 in ms, bare handler", ms(bare.P99), bare.generator)
	f.add("latency: p99 in ms, whole collector", ms(whole.P99), whole.generator)
	f.add("latency: p99, whole / bare", whole.P99.Seconds()/bare.P99.Seconds(), both...)
	f.add("memory: MB at most, bare handler", mb(bare.peak), bare.generator)
	f.add("memory: MB at most, collector", mb(whole.peak), whole.generator)
	f.add("others: share of the processors that other programs had", max(bare.others, whole.others))
	f.add("events a beacon", float64(whole.Events)/float64(whole.Beacons))
	f.atLeast("rate: whole / bare", 0.6)
	f.atMost("processor: collector / bare", 2)
	f.atMost("processor: µs a beacon, collector with its loader", 50)
	f.atMost("latency: p99, whole / bare", 3)
	f.atMost("memory: MB at most, collector", 128)
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
func mb(bytes int) float64       { return float64(bytes) / 1e6 }
