package web

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Rate is what one address may send: PerSecond on average, Burst at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// limiter holds a token bucket for each address that sent something lately.
//
// It is a table of fixed size, in rows of a few buckets. Who comes when a row
// is full takes the place of the fullest bucket, whose owner loses the least:
// so a crowd of single readers does not push out a flooder, whose bucket is
// empty. Buckets go by a hash under a seed of this process; the addresses
// themselves are not kept.
type limiter struct {
	rate  Rate
	now   func() time.Time
	began time.Time
	life  time.Duration // in which an empty bucket is full again, as good as none
	seed  maphash.Seed
	locks [locks]sync.Mutex // of the rows that have its number modulo locks
	rows  []buckets
	hand  atomic.Uint64 // the row that is swept next
}

const (
	perRow = 8
	locks  = 64
)

type buckets [perRow]bucket

// A bucket that nobody has is zero.
type bucket struct {
	owner  uint64        // hash of an address
	tokens float64       // at that moment
	at     time.Duration // since the limiter began
}

func newLimiter(r Rate, addresses int, now func() time.Time) *limiter {
	// A day at most: nothing of a reader is kept for longer than a visitor's id.
	life := 24 * time.Hour
	if seconds := float64(r.Burst) / r.PerSecond; seconds < life.Seconds() {
		life = time.Duration(seconds * float64(time.Second))
	}
	return &limiter{rate: r, now: now, began: now(), life: life, seed: maphash.MakeSeed(), rows: make([]buckets, max(1, addresses/perRow))}
}

// take spends one token of the address. When there is none it says how long
// until there is.
func (l *limiter) take(a netip.Addr) (wait time.Duration, ok bool) {
	owner := maphash.Comparable(l.seed, network(a)) | 1 // never 0
	n := owner >> 1 % uint64(len(l.rows))
	now := l.now().Sub(l.began)
	l.sweep(l.hand.Add(1)%uint64(len(l.rows)), now)
	lock := &l.locks[n%locks]
	lock.Lock()
	defer lock.Unlock()
	b := l.find(&l.rows[n], owner, now)
	b.tokens, b.at = l.filled(b, now), now
	if b.tokens >= 1 {
		b.tokens--
		return 0, true
	}
	// A slow rate must not overflow a Duration, nor a client wait for weeks.
	seconds := min(max((1-b.tokens)/l.rate.PerSecond, 0), 86400)
	return max(time.Duration(seconds*float64(time.Second)), time.Second), false
}

// sweep empties the buckets of a row that nobody needs any more. With each
// beacon it is another row's turn: no goroutine, and nobody is held for long.
func (l *limiter) sweep(n uint64, now time.Duration) {
	lock := &l.locks[n%locks]
	lock.Lock()
	defer lock.Unlock()
	for i := range l.rows[n] {
		if b := &l.rows[n][i]; b.owner != 0 && now-b.at >= l.life {
			*b = bucket{}
		}
	}
}

// find is the owner's bucket in a row, which may be a new one.
func (l *limiter) find(row *buckets, owner uint64, now time.Duration) *bucket {
	var free *bucket
	most := -1.0
	for i := range row {
		b := &row[i]
		if b.owner == owner {
			return b
		}
		tokens := float64(l.rate.Burst)
		if b.owner != 0 {
			tokens = l.filled(b, now)
		}
		if tokens > most || b.owner == 0 && free.owner != 0 {
			free, most = b, tokens
		}
	}
	*free = bucket{owner: owner, tokens: float64(l.rate.Burst), at: now}
	return free
}

// filled is how many tokens a bucket has by now.
func (l *limiter) filled(b *bucket, now time.Duration) float64 {
	return min(float64(l.rate.Burst), b.tokens+max(0, now-b.at).Seconds()*l.rate.PerSecond)
}

// held counts the buckets that somebody has.
func (l *limiter) held() int {
	n := 0
	for r := range l.rows {
		lock := &l.locks[r%locks]
		lock.Lock()
		for _, b := range l.rows[r] {
			if b.owner != 0 {
				n++
			}
		}
		lock.Unlock()
	}
	return n
}
