package enrich

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
)

// atlas has one country for every address.
type atlas struct{}

func (atlas) Find(a netip.Addr) (string, string) { return "FR", "IDF" }

func enricher(t testing.TB) *Enricher {
	t.Helper()
	e, err := New(Options{Geo: atlas{}, Salts: fixed{}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var noon = time.Date(2026, 10, 2, 12, 0, 0, 123e6, time.UTC)

func request() Request {
	return Request{Received: noon, Address: netip.MustParseAddr("203.0.113.77"), Agent: webview + " Line/14.1/IAB", Package: "com.whatsapp"}
}

func beacon() *hit.Beacon {
	seq := uint32(3)
	return &hit.Beacon{
		Site: "news.example", Page: "https://News.example/a?utm_source=letter&utm_term=t&utm_content=c&id=1&fbclid=secret#c", View: "0Kd3hP9aQzT", Via: "0Kd2kM1bYx7",
		Seq: &seq, Return: true, Referrer: "https://t.co/x?y", App: "viber", Title: "T", Language: "fr-FR", Zone: "Europe/Paris", Width: 390,
		Canonical: "https://news.example/a#.0Kd3hP9aQzT", Author: "A", Section: "S", Published: time.UnixMilli(1790000000000),
		Events: []hit.Event{
			{Type: "view", Age: 1500 * time.Millisecond, Hash: "written"},
			{Type: "copy", What: "text", Chars: 10, Words: 2, Quote: "a passage"},
			{Type: "share", Channel: "whatsapp", Token: "0Kd3hP9aQzT", Outcome: "done"},
			{Type: "engage", Visible: 12 * time.Second, Scroll: 80},
			{Type: "convert", Name: "order", Value: 129900, Currency: "EUR", Order: "A-1"},
			{Type: "ask"},
			{Type: "answer", Source: "person", Channel: "line", Mood: -1, Text: "hello"},
		},
	}
}

func events(t testing.TB, e *Enricher, b *hit.Beacon, s *site.Site, r Request) []*event.Event {
	t.Helper()
	evs, err := e.Events(b, s, r, b.Generation)
	if err != nil {
		t.Fatal(err)
	}
	return evs
}

func TestEventsOfABeacon(t *testing.T) {
	s := *site0
	s.Quotes = true
	got := events(t, enricher(t), beacon(), &s, request())
	if len(got) != 7 {
		t.Fatalf("%d events, want 7", len(got))
	}
	// What all have in common.
	for i, ev := range got {
		for field, ok := range map[string]bool{
			"site":    ev.Site == "news.example" && ev.Privacy == "full" && ev.Generation == 0,
			"time":    ev.Received == noon.UnixMilli() && ev.Day == 20728 && ev.Item == uint32(i),
			"view":    ev.View == "0Kd3hP9aQzT" && ev.Via == "0Kd2kM1bYx7" && *ev.Seq == 3 && ev.Returned && !ev.Bot,
			"page":    ev.Page == "https://news.example/a?id=1" && ev.Canonical == "https://news.example/a",
			"texts":   ev.Title == "T" && ev.Author == "A" && ev.Section == "S" && ev.Published == 1790000000000,
			"browser": ev.Language == "fr-FR" && ev.Zone == "Europe/Paris" && ev.Width == 390,
			"from":    ev.Referrer == "https://t.co/x" && ev.ReferrerKind == "social" && ev.ReferrerChannel == "twitter",
			"app":     ev.App == "whatsapp" && ev.PackageChannel == "whatsapp",
			"place":   ev.Country == "FR" && ev.Region == "IDF",
			"device":  ev.Device == "phone" && ev.Os == "Android" && ev.Browser == "LINE" && ev.BrowserMajor == 14,
			"utm":     ev.UtmSource == "letter" && ev.UtmTerm == "t" && ev.UtmContent == "c" && ev.Clickid == "fbclid",
		} {
			if !ok {
				t.Errorf("event %d: %s is wrong: %v", i, field, ev)
			}
		}
	}
	// What is each one's own.
	for name, ok := range map[string]bool{
		"view":    got[0].Type == "view" && got[0].Hash == "written" && got[0].Time == noon.UnixMilli()-1500,
		"copy":    got[1].What == "text" && got[1].Chars == 10 && got[1].Words == 2 && got[1].Quote == "a passage" && got[1].Time == noon.UnixMilli(),
		"share":   got[2].Channel == "whatsapp" && got[2].Token == "0Kd3hP9aQzT" && got[2].Outcome == "done",
		"engage":  got[3].Visible == 12000 && got[3].Scroll == 80,
		"convert": got[4].Name == "order" && got[4].Value == 129900 && got[4].Currency == "EUR" && got[4].Order == "A-1",
		"ask":     got[5].Type == "ask",
		"answer":  got[6].Answer == "person" && got[6].Channel == "line" && got[6].Mood == -1 && got[6].Text == "hello",
	} {
		if !ok {
			t.Errorf("%s is wrong: %v", name, got)
		}
	}
}

// After this step the address and the agent are gone: not one field of an event
// has them, whole or in parts, nor the package nor the value of a click id.
func TestTheAddressIsGone(t *testing.T) {
	e := enricher(t)
	for _, address := range []string{"203.0.113.77", "2001:db8:1234:5678::9abc", "::ffff:203.0.113.77"} {
		a := netip.MustParseAddr(address)
		agent := "Mozilla/5.0 (Linux; Android 15; UniqueModel-X77 Build/UNIQ.77; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.200 Mobile Safari/537.36"
		r := Request{Received: noon, Address: a, Agent: agent, Package: "com.rare.package77"}
		raw, sixteen := a.Unmap().AsSlice(), a.As16()
		for i, ev := range events(t, e, beacon(), site0, r) {
			wire, err := ev.MarshalVT()
			if err != nil {
				t.Fatal(err)
			}
			for what, trace := range map[string]string{
				"the address": address, "the address in short": a.Unmap().String(), "its bytes": string(raw), "its 16 bytes": string(sixteen[:]),
				"its hex": hex.EncodeToString(raw), "its first half": address[:9],
				"the agent": agent, "the model": "UniqueModel", "the build": "UNIQ.77", "the version": "131.0", "the package": "package77", "the click id": "secret",
			} {
				if strings.Contains(strings.ToLower(string(wire)), strings.ToLower(trace)) {
					t.Errorf("event %d still has %s", i, what)
				}
			}
			// And no field that this test does not know of is long enough to hold an agent.
			v := reflect.ValueOf(ev).Elem()
			for n := range v.NumField() {
				if f := v.Field(n); f.Kind() == reflect.String && len(f.String()) > 64 {
					t.Errorf("event %d: %s is %q", i, v.Type().Field(n).Name, f.String())
				}
			}
		}
	}
}

func TestVisitorAndNetwork(t *testing.T) {
	e := enricher(t)
	of := func(change func(*Request)) *event.Event {
		r := request()
		change(&r)
		return events(t, e, beacon(), site0, r)[1]
	}
	address := func(s string) func(*Request) {
		return func(r *Request) { r.Address = netip.MustParseAddr(s) }
	}
	base := of(func(*Request) {})
	if len(base.Visitor) != 16 || strings.Trim(base.Visitor, "0123456789abcdef") != "" || base.Consented || base.Network == 0 {
		t.Fatalf("visitor %q, network %d", base.Visitor, base.Network)
	}
	six := of(address("2001:db8:1:2::3"))
	for _, c := range []struct {
		name                     string
		a, b                     *event.Event
		sameVisitor, sameNetwork bool
	}{
		{"the same again", base, of(func(*Request) {}), true, true},
		{"IPv4 written as IPv6", base, of(address("::ffff:203.0.113.77")), true, true},
		{"another agent", base, of(func(r *Request) { r.Agent += " " }), false, true},
		{"an agent that differs behind the part that is looked at", of(func(r *Request) { r.Agent = strings.Repeat("x", 2000) + "1" }), of(func(r *Request) { r.Agent = strings.Repeat("x", 2000) + "2" }), false, true},
		{"a neighbour in the /24", base, of(address("203.0.113.1")), false, true},
		{"the next /24", base, of(address("203.0.112.77")), false, false},
		{"a neighbour in the /48", six, of(address("2001:db8:1:ffff::1")), false, true},
		{"the next /48", six, of(address("2001:db8:2:2::3")), false, false},
		{"an interface in the address", six, of(address("2001:db8:1:2::3%eth0")), true, true},
		{"the next day", base, of(func(r *Request) { r.Received = r.Received.Add(24 * time.Hour) }), false, false},
		{"no address at all", of(func(r *Request) { r.Address = netip.Addr{} }), of(func(r *Request) { r.Address = netip.Addr{} }), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if (c.a.Visitor == c.b.Visitor) != c.sameVisitor {
				t.Errorf("visitors %s and %s, want same %v", c.a.Visitor, c.b.Visitor, c.sameVisitor)
			}
			if (c.a.Network == c.b.Network) != c.sameNetwork {
				t.Errorf("networks %x and %x, want same %v", c.a.Network, c.b.Network, c.sameNetwork)
			}
		})
	}
}

func TestAnotherSiteHasAnotherVisitorUnderTheSameSalt(t *testing.T) {
	salt := [32]byte{1}
	a := netip.MustParseAddr("203.0.113.77")
	if visitor(&salt, "a.example", a, "x") == visitor(&salt, "b.example", a, "x") || network(&salt, "a.example", a) == network(&salt, "b.example", a) {
		t.Error("the site is not in the hash")
	}
	// The boundaries between the parts count.
	if visitor(&salt, "a", a, "bc") == visitor(&salt, "ab", a, "c") {
		t.Error("two readings of one text")
	}
}

func TestABeaconOverMidnightHasTwoVisitors(t *testing.T) {
	r := request()
	r.Received = time.Date(2026, 10, 3, 0, 0, 10, 0, time.UTC)
	b := beacon()
	b.Events = []hit.Event{{Type: "view", Age: 20 * time.Second}, {Type: "engage", Age: 10 * time.Second}, {Type: "engage"}}
	got := events(t, enricher(t), b, site0, r)
	if got[0].Visitor == got[1].Visitor || got[1].Visitor != got[2].Visitor {
		t.Errorf("visitors %s %s %s", got[0].Visitor, got[1].Visitor, got[2].Visitor)
	}
	if got[0].Day != 20728 || got[1].Day != 20729 {
		t.Errorf("days %d, %d", got[0].Day, got[1].Day)
	}
}

func TestTheDayIsTheSites(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	s := *site0
	s.Location = zone
	r := request()
	r.Received = time.Date(2026, 10, 2, 16, 0, 0, 0, time.UTC) // one in the morning in Tokyo
	if got := events(t, enricher(t), beacon(), &s, r)[0]; got.Day != 20729 {
		t.Errorf("day %d, want 20729", got.Day)
	}
}

func TestAConsentedIDIsTheVisitor(t *testing.T) {
	b := beacon()
	b.Visitor = "member-17"
	got := events(t, enricher(t), b, site0, request())[0]
	if got.Visitor != "member-17" || !got.Consented || got.Network == 0 {
		t.Errorf("visitor %q, consented %v, network %d", got.Visitor, got.Consented, got.Network)
	}
}

func TestAStrictSiteNamesNobody(t *testing.T) {
	s := *site0
	s.Privacy, s.Quotes = site.Strict, true
	b := beacon()
	b.Visitor, b.Generation = "member-17", 4
	for _, ev := range events(t, enricher(t), b, &s, request()) {
		if ev.Consented || ev.Visitor == "member-17" || len(ev.Visitor) != 16 {
			t.Errorf("visitor %q", ev.Visitor)
		}
		if ev.Quote != "" || ev.UtmTerm != "" || ev.UtmContent != "" {
			t.Errorf("keeps a quote or campaign terms: %v", ev)
		}
		if ev.Generation != 4 || ev.Privacy != "strict" || ev.UtmSource != "letter" {
			t.Errorf("generation %d, privacy %q, source %q", ev.Generation, ev.Privacy, ev.UtmSource)
		}
	}
}

func TestQuotesOnlyWhereTheSiteKeepsThem(t *testing.T) {
	if got := events(t, enricher(t), beacon(), site0, request())[1]; got.Quote != "" {
		t.Errorf("quote %q", got.Quote)
	}
}

// Evidence of the app: the package, then the agent, then the hint.
func TestEvidenceOrder(t *testing.T) {
	e := enricher(t)
	for _, c := range []struct{ name, pkg, agent, hint, app, byPackage string }{
		{"all three", "com.whatsapp", webview + " Line/14.1/IAB", "viber", "whatsapp", "whatsapp"},
		{"agent and hint", "", webview + " Line/14.1/IAB", "viber", "line", ""},
		{"the hint alone", "", webview, "telegram", "telegram", ""},
		{"nothing", "", webview, "", "", ""},
		{"a package without a row", "com.example.reader", webview + " Line/14.1/IAB", "", "line", ""},
		{"a package of another spelling", "com.Slack", webview, "", "slack", "slack"},
		{"a package that only looks like one", "com.whatsapp.evil", webview, "", "", ""},
		{"a page's own library", "XMLHttpRequest", webview, "", "", ""},
		{"a package of a kind without a channel", "com.openai.chatgpt", webview, "", "", ""},
		{"a hint that is no channel", "", webview, "myspace", "", ""},
		{"a bot has no app", "com.whatsapp", "Googlebot/2.1", "telegram", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, r := beacon(), request()
			b.App, r.Package, r.Agent = c.hint, c.pkg, c.agent
			got := events(t, e, b, site0, r)[0]
			if want := c.pkg != "" && c.name != "a page's own library"; got.Packaged != want {
				t.Errorf("packaged %t, want %t", got.Packaged, want)
			}
			if got.App != c.app || got.PackageChannel != c.byPackage {
				t.Errorf("app %q by package %q, want %q, %q", got.App, got.PackageChannel, c.app, c.byPackage)
			}
		})
	}
}

type noSalts struct{}

var errNoSalt = errors.New("disk full")

func (noSalts) For(string, int32) ([32]byte, error) { return [32]byte{}, errNoSalt }

func TestWithoutASaltThereAreNoEvents(t *testing.T) {
	e, err := New(Options{Salts: noSalts{}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Events(beacon(), site0, request(), 0); !errors.Is(err, errNoSalt) || got != nil {
		t.Errorf("got %d events, error %v", len(got), err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("an enricher without salts")
	}
}

// population is agents as they come: a thousand, drawn by Zipf 1.1.
func population(n int) []string {
	kinds := make([]string, 1000)
	for i := range kinds {
		switch i % 4 {
		case 0:
			kinds[i] = fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36", 60+i)
		case 1:
			kinds[i] = fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 18_%d like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148 Safari/604.1", i)
		case 2:
			kinds[i] = fmt.Sprintf("Mozilla/5.0 (Linux; Android 14; SM-S%d Build/UP1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.200 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/493.0.0.53.103;]", i)
		default:
			kinds[i] = fmt.Sprintf("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram %d.0.0.28.94 (iPhone15,2; iOS 17_5; fr_CA; fr; scale=3.00)", i)
		}
	}
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(len(kinds)-1))
	drawn := make([]string, n)
	for i := range drawn {
		drawn[i] = kinds[zipf.Uint64()]
	}
	return drawn
}

// BenchmarkEvents is a view of an article, come from a link in a post.
func BenchmarkEvents(b *testing.B) {
	e := enricher(b)
	agents := population(1 << 12)
	one := beacon()
	one.Page = "https://news.example/2026/10/01/a-long-headline-of-an-article.html"
	one.Canonical = one.Page
	one.Referrer = "https://t.co/"
	one.Events = one.Events[:1]
	r := request()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Agent = agents[i&(1<<12-1)]
		i++
		events, err := e.Events(one, site0, r, 0)
		if err != nil {
			b.Fatal(err)
		}
		e.Release(events)
	}
}

func BenchmarkHashes(b *testing.B) {
	salt := [32]byte{1}
	a := netip.MustParseAddr("203.0.113.77")
	b.ReportAllocs()
	for b.Loop() {
		visitor(&salt, "news.example", a, webview)
		network(&salt, "news.example", a)
	}
}

func BenchmarkKnownAgent(b *testing.B) {
	e := enricher(b)
	agents := population(1 << 12)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e.Agent(agents[i&(1<<12-1)])
		i++
	}
}

func BenchmarkNewAgent(b *testing.B) {
	f := builtin(b)
	agents := population(1 << 12)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f.judge(agents[i&(1<<12-1)])
		i++
	}
}

func BenchmarkPage(b *testing.B) {
	f := builtin(b)
	b.ReportAllocs()
	for b.Loop() {
		f.page("https://news.example/2026/10/01/a-long-headline-of-an-article.html")
	}
}

func BenchmarkReferrer(b *testing.B) {
	f := builtin(b)
	b.ReportAllocs()
	for b.Loop() {
		f.referrer("https://l.facebook.com/", site0)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := New(Options{Salts: fixed{}}); err != nil {
			b.Fatal(err)
		}
	}
}
