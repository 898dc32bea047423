package web

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/geo"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/salt"
	"github.com/passalong/passalong/collector/token"
)

// nowhere keeps nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, []*event.Event) error { return nil }

// BenchmarkBeacon is everything between a request that has been read and its
// 204, but the disk: the real intake with the real tables, countries and salts.
func BenchmarkBeacon(b *testing.B) {
	set := sites(b)
	places, err := geo.Open("../../bin/country.mmdb")
	if err != nil {
		b.Fatal(err)
	}
	salts, err := salt.Open(b.TempDir(), time.Now, nil)
	if err != nil {
		b.Fatal(err)
	}
	enricher, err := enrich.New(enrich.Options{Geo: places, Salts: salts})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Options{
		Intake: intake.New(intake.Options{Sites: set, Enricher: enricher}), Spool: nowhere{}, Sites: set,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Rate: Rate{PerSecond: 1e6, Burst: 1e6},
	})
	if err != nil {
		b.Fatal(err)
	}
	body := `{"site":"news.example","page":"https://news.example/2026/11/24/an-article-of-usual-length","view":"` + token.New(time.Now(), [6]byte{}) + `","via":"` + goodToken +
		`","referrer":"https://t.co/","title":"An article of usual length","language":"fr-FR","zone":"Europe/Paris","width":390,"author":"A. Author","section":"Culture",` +
		`"published":"2026-11-24T08:00:00Z","seq":0,"events":[{"type":"view","hash":"written","age":0}]}`
	requests := make([]*fasthttp.RequestCtx, 256)
	for i := range requests {
		c := &fasthttp.RequestCtx{}
		c.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000}, nil)
		h := &c.Request.Header
		h.SetMethod("POST")
		h.SetRequestURI("/e")
		h.SetHost("stats.news.example")
		h.SetContentType("text/plain;charset=UTF-8")
		h.SetUserAgent(fmt.Sprintf("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Mobile Safari/537.36", 100+i%60))
		for _, pair := range [][2]string{
			{"Accept", "*/*"}, {"Accept-Language", "fr-FR,fr;q=0.9"}, {"Accept-Encoding", "gzip, deflate, br"}, {"Origin", "https://news.example"},
			{"Referer", "https://news.example/"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-For", fmt.Sprintf("81.%d.7.%d", i%60, i)},
		} {
			h.Set(pair[0], pair[1])
		}
		c.Request.SetBodyString(body)
		requests[i] = c
	}
	handle := s.app.Handler()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c := requests[i%len(requests)]
		i++
		c.Response.Reset()
		handle(c)
		if c.Response.StatusCode() != 204 {
			b.Fatalf("%d %s", c.Response.StatusCode(), c.Response.Body())
		}
	}
}
