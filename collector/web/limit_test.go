package web

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/config"
)

// watch is a clock that is set by hand.
type watch struct {
	mu  sync.Mutex
	now time.Time
}

func newWatch() *watch { return &watch{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (w *watch) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *watch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func TestRateLimitAnswers429(t *testing.T) {
	w := newWatch()
	r := start(t, func(o *Options) { o.Rate = Rate{PerSecond: 0.5, Burst: 3}; o.Now = w.Now })
	send := func(from string) answered {
		return r.send("POST", "/e", plain("X-Forwarded-For", from), strings.NewReader(beaconBody()))
	}
	for i := range 3 {
		if a := send("203.0.113.7"); a.status != 204 {
			t.Fatalf("beacon %d of the burst: %d", i, a.status)
		}
	}
	a := send("203.0.113.7")
	if a.status != 429 || a.header.Get("Retry-After") != "2" || a.header.Get("Access-Control-Allow-Origin") != "https://news.example" ||
		a.header.Get("Vary") != "Origin" || !strings.Contains(a.body, `"error"`) {
		t.Errorf("over the limit: %d %v %s", a.status, a.header, a.body)
	}
	if a := send("203.0.113.8"); a.status != 204 {
		t.Errorf("a neighbour: %d", a.status)
	}
	w.pass(2 * time.Second)
	if a := send("203.0.113.7"); a.status != 204 {
		t.Errorf("after Retry-After: %d", a.status)
	}
	if got := r.figure(`passalong_filtered_total{reason="rate",site="news.example"}`); got != "1" {
		t.Errorf("%s filtered for rate, want 1", got)
	}
	if len(r.disk.kept()) != 5 {
		t.Errorf("%d events kept, want 5", len(r.disk.kept()))
	}
}

// A flood that asks for privacy is still a flood.
func TestRateLimitComesBeforeThePrivacySignal(t *testing.T) {
	r := start(t, func(o *Options) { o.Rate = Rate{PerSecond: 1, Burst: 1}; o.Now = newWatch().Now })
	for i, want := range []int{204, 429} {
		if a := r.send("POST", "/e", plain("Sec-GPC", "1"), strings.NewReader("")); a.status != want {
			t.Errorf("request %d: %d, want %d", i, a.status, want)
		}
	}
}

func TestWhatSharesALimit(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"two IPv4 neighbours", "203.0.113.7", "203.0.113.8", false},
		{"two addresses of one IPv6 customer", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
		{"two IPv6 customers", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		l := newLimiter(Rate{PerSecond: 0.001, Burst: 1}, 100, newWatch().Now)
		l.take(netip.MustParseAddr(c.a))
		if _, ok := l.take(netip.MustParseAddr(c.b)); ok == c.same {
			t.Errorf("%s: shared %v, want %v", c.name, !ok, c.same)
		}
	}
}

func TestPeerWithoutAddressIsLimitedToo(t *testing.T) {
	l := newLimiter(Rate{PerSecond: 1, Burst: 1}, 100, newWatch().Now)
	l.take(netip.Addr{})
	if _, ok := l.take(netip.Addr{}); ok {
		t.Error("taken twice")
	}
}

// A thousand addresses, and then twenty thousand, take the room of as many
// as were allowed.
func TestLimiterIsBounded(t *testing.T) {
	const room = 128
	l := newLimiter(Rate{PerSecond: 1, Burst: 5}, room, newWatch().Now)
	for _, n := range []uint32{1_000, 20_000} {
		for i := range n {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], i+1)
			if _, ok := l.take(netip.AddrFrom4(b)); !ok {
				t.Fatalf("address %d was refused its first beacon", i)
			}
		}
		if size := l.held(); size > room {
			t.Errorf("after %d addresses %d are held, want at most %d", n, size, room)
		}
	}
}

// One who floods while many others come once stays limited.
func TestFloodIsNotForgottenInACrowd(t *testing.T) {
	w := newWatch()
	l := newLimiter(Rate{PerSecond: 1, Burst: 5}, 128, w.Now)
	flooder := netip.MustParseAddr("203.0.113.7")
	taken := 0
	for i := range uint32(5_000) {
		if _, ok := l.take(flooder); ok {
			taken++
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], i+1)
		l.take(netip.AddrFrom4(b))
	}
	if taken > 100 {
		t.Errorf("the flooder got %d of 5000 through in no time, burst is 5", taken)
	}
}

func TestIdleAddressIsForgotten(t *testing.T) {
	w := newWatch()
	l := newLimiter(Rate{PerSecond: 50, Burst: 200}, 1000, w.Now)
	l.take(netip.MustParseAddr("203.0.113.7"))
	w.pass(time.Minute)
	other := netip.MustParseAddr("203.0.113.8")
	for range 2 * 1000 / perRow { // each beacon sweeps a row
		l.take(other)
	}
	if size := l.held(); size != 1 {
		t.Errorf("%d addresses held after a minute, want the other one", size)
	}
}

// Whatever config takes as a rate makes a limiter that lets the burst through,
// and then names a time to come back that is a number of seconds within a day.
func FuzzRateLimit(f *testing.F) {
	for _, seed := range []string{"50/s burst 200", "600/m", "1/h", "0.0001/h burst 1", "999999999/s burst 1", "1e-300/h", "x", "", "1/s burst 0", "1/s burst 9223372036854775807"} {
		f.Add(seed)
	}
	from := netip.MustParseAddr("203.0.113.7")
	f.Fuzz(func(t *testing.T, text string) {
		var r config.Rate
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if r.Burst < 1 || !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 0) {
			t.Fatalf("%q is %+v", text, r)
		}
		l := newLimiter(Rate(r), 16, newWatch().Now)
		for i := range min(r.Burst, 500) + 1 {
			wait, ok := l.take(from)
			if ok != (i < r.Burst) {
				t.Fatalf("%q: beacon %d taken: %v", text, i, ok)
			}
			if !ok && (wait < time.Second || wait > 24*time.Hour) {
				t.Fatalf("%q: come back in %s", text, wait)
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	l := newLimiter(Rate{PerSecond: 50, Burst: 200}, 65536, time.Now)
	var all []netip.Addr
	for i := range 4096 {
		all = append(all, netip.MustParseAddr(fmt.Sprintf("10.0.%d.%s", i/256, strconv.Itoa(i%256))))
	}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			l.take(all[i%len(all)])
		}
	})
}

// Who comes to a full table takes the place of one who has sent little.
func TestTheFullestBucketMakesPlace(t *testing.T) {
	w := newWatch()
	l := newLimiter(Rate{PerSecond: 0.001, Burst: 100}, perRow, w.Now) // one row
	address := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, i}) }
	for i := range byte(perRow) {
		for range 10 * (i + 1) {
			l.take(address(i))
		}
	}
	l.take(address(200))
	if _, ok := l.take(address(200)); !ok || l.held() != perRow {
		t.Errorf("the new one: taken %v, %d held", ok, l.held())
	}
	for range 20 { // it has sent more than address 0 had: next is address 1's place
		l.take(address(200))
	}
	l.take(address(201))
	for i := byte(2); i < perRow; i++ {
		left := 0
		for _, ok := l.take(address(i)); ok; _, ok = l.take(address(i)) {
			left++
		}
		if want := 100 - 10*(int(i)+1); left != want {
			t.Errorf("address %d has %d left, want %d", i, left, want)
		}
	}
}
