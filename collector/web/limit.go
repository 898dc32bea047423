package web

import (
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// Rate is what one address may send: PerSecond on average, Burst at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limiter holds a token bucket for each address that sent something lately.
//
// Its size is bounded. When more addresses than that send at once, the cache
// keeps those seen most often, so a flood from many addresses pushes out single
// readers (who lose nothing) before it pushes out a flooder.
type limiter struct {
	rate  Rate
	now   func() time.Time
	cache *otter.Cache[netip.Addr, *rate.Limiter]
}

func newLimiter(r Rate, addresses int, now func() time.Time) *limiter {
	// A bucket that was left alone until it is full again is as good as none.
	// A day at most: an address is not kept for longer than a visitor's id.
	refill := 24 * time.Hour
	if seconds := float64(r.Burst) / r.PerSecond; seconds < refill.Seconds() {
		refill = time.Duration(seconds*float64(time.Second)) + time.Second
	}
	return &limiter{rate: r, now: now, cache: otter.Must(&otter.Options[netip.Addr, *rate.Limiter]{
		MaximumSize:      addresses,
		ExpiryCalculator: otter.ExpiryAccessing[netip.Addr, *rate.Limiter](refill),
		Clock:            clock{now},
	})}
}

// take spends one token of the address. When there is none it says how long
// until there is.
func (l *limiter) take(a netip.Addr) (wait time.Duration, ok bool) {
	bucket, _ := l.cache.ComputeIfAbsent(network(a), func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst), false
	})
	now := l.now()
	if bucket.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - bucket.TokensAt(now)
	// A slow rate must not overflow a Duration, nor a client wait for weeks.
	seconds := min(max(missing/l.rate.PerSecond, 0), 86400)
	return max(time.Duration(seconds*float64(time.Second)), time.Second), false
}

// clock makes the cache expire by the server's clock. It does not tick: the
// cache then clears out when it is used, and needs no goroutine.
type clock struct{ now func() time.Time }

func (c clock) NowNano() int64                      { return c.now().UnixNano() }
func (c clock) Tick(time.Duration) <-chan time.Time { return nil }
