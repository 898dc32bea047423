package intake

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

var (
	noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	view = token.New(noon, [6]byte{1, 2, 3, 4, 5, 6})
	link = token.New(noon.Add(-time.Hour), [6]byte{9, 9, 9, 9, 9, 9})
)

const (
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
	preview = "WhatsApp/2.24.20.89 A" // WhatsApp on the sender's phone
)

// oneSalt is a salt that a test can foresee.
type oneSalt struct{ err error }

func (s oneSalt) For(string, int32) ([32]byte, error) { return [32]byte{1}, s.err }

// made are links of an earlier day.
type made map[string]string

func (m made) Find(token string) (site, page string, ok bool) {
	page, ok = m[token]
	if strings.HasPrefix(page, "https://ask.example/") {
		return "ask.example", page, ok
	}
	return "news.example", page, ok
}

func newIntake(t testing.TB, saltErr error, links Links) *Intake {
	t.Helper()
	news, err := site.New("news.example", "news.example")
	if err != nil {
		t.Fatal(err)
	}
	quiet, err := site.New("quiet.example", "quiet.example")
	if err != nil {
		t.Fatal(err)
	}
	quiet.Privacy = site.Strict
	asking, err := site.New("ask.example", "ask.example")
	if err != nil {
		t.Fatal(err)
	}
	asking.Privacy = site.Consent
	sites, err := site.NewSet(news, quiet, asking)
	if err != nil {
		t.Fatal(err)
	}
	e, err := enrich.New(enrich.Options{Salts: oneSalt{saltErr}})
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Sites: sites, Enricher: e, Links: links})
}

func beacon(view string) string {
	return `{"site":"news.example","page":"https://news.example/a","view":"` + view + `","events":[{"type":"view","age":1000},{"type":"copy","age":0,"what":"link"}]}`
}

func request(body string) Request {
	return Request{
		Received: noon, Address: netip.MustParseAddr("203.0.113.7"), Agent: iphone, Origin: "https://news.example", Body: []byte(body),
	}
}

func TestBeaconBecomesItsEvents(t *testing.T) {
	events, err := newIntake(t, nil, nil).Beacon(request(beacon(view)))
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 {
		t.Fatalf("%d events, want 2", len(events))
	}
	for i, want := range []struct {
		kind string
		at   time.Time
	}{{"view", noon.Add(-time.Second)}, {"copy", noon}} {
		e := events[i]
		if e.Type != want.kind || e.Time != want.at.UnixMilli() || e.Received != noon.UnixMilli() || e.View != view || e.Page != "https://news.example/a" {
			t.Errorf("event %d: %v", i, e)
		}
		if len(e.Visitor) != 16 || e.Network == 0 || e.Bot {
			t.Errorf("event %d: visitor %q, network %d, bot %v", i, e.Visitor, e.Network, e.Bot)
		}
	}
}

// The promise of the design's step 2: after this package the address and the
// agent are gone.
func TestAddressAndAgentEndHere(t *testing.T) {
	in := newIntake(t, nil, made{link: "https://news.example/a"})
	events, err := in.Beacon(request(beacon(view)))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := in.Import().Line([]byte(`{"time":"2026-10-01T12:00:00Z","ip":"203.0.113.7","agent":"`+iphone+`","link":"`+link+`"}`), noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(events, opened...) {
		raw, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"203.0.113.7", "203.0.113", iphone, "AppleWebKit", "\xcb\x00\x71\x07"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s: %q is in what is stored", e.Type, secret)
			}
		}
	}
}

func TestRefusedBeacons(t *testing.T) {
	cohort := token.Cohort("quiet.example", "https://quiet.example/a", 6564, 2)
	for _, c := range []struct {
		name, body, origin string
		field              string
		foreign            bool
	}{
		{"no JSON", "hello", "", "body", false},
		{"an unknown site", strings.Replace(beacon(view), `"site":"news`, `"site":"old`, 1), "", "site", true},
		{"another site's page", strings.Replace(beacon(view), "https://news", "https://shop", 1), "", "page", true},
		{"another site's origin", beacon(view), "https://shop.example", "origin", true},
		{"one bad event of two", strings.Replace(beacon(view), `"what":"link"`, `"what":"pdf"`, 1), "", "events[1].what", false},
		{"a reader's token at a strict site", strings.NewReplacer("news.example", "quiet.example", `"page"`, `"privacy":"strict","page"`).Replace(beacon(view)), "", "view", false},
		{"a cohort's token without the level", strings.ReplaceAll(beacon(cohort), "news.example", "quiet.example"), "", "privacy", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.body)
			r.Origin = c.origin
			events, err := newIntake(t, nil, nil).Beacon(r)
			bad, ok := errors.AsType[*hit.Error](err)
			if !ok || bad.Field != c.field || bad.Foreign != c.foreign || events != nil {
				t.Errorf("%d events, error %v, want one of %s, foreign %v", len(events), err, c.field, c.foreign)
			}
		})
	}
}

func TestGenerationOfACohortIsRecorded(t *testing.T) {
	cohort := token.Cohort("quiet.example", "https://quiet.example/a", 6564, 2)
	r := request(strings.NewReplacer("news.example", "quiet.example", `"page"`, `"privacy":"strict","page"`).Replace(beacon(cohort)))
	r.Origin = ""
	events, err := newIntake(t, nil, nil).Beacon(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Generation != 2 || e.Privacy != "strict" {
			t.Errorf("%s: generation %d at level %q, want 2, strict", e.Type, e.Generation, e.Privacy)
		}
	}
}

// A fault of ours is no answer to the sender.
func TestFaultIsNoRefusal(t *testing.T) {
	broken := errors.New("disk is gone")
	in := newIntake(t, broken, made{link: "https://news.example/a"})
	_, err := in.Beacon(request(beacon(view)))
	if _, refused := errors.AsType[*hit.Error](err); refused || !errors.Is(err, broken) {
		t.Errorf("error %v, want the salt's", err)
	}
	_, err = in.Import().Line([]byte(`{"time":"2026-10-01T12:00:00Z","ip":"203.0.113.7","agent":"","link":"`+link+`"}`), noon)
	if _, refused := errors.AsType[*hit.Error](err); refused || !errors.Is(err, broken) {
		t.Errorf("error %v, want the salt's", err)
	}
}

func TestLines(t *testing.T) {
	other := token.New(noon, [6]byte{8, 8, 8, 8, 8, 8})
	unasked := token.New(noon, [6]byte{7, 7, 7, 7, 7, 7})
	head := `{"time":"2026-10-01T11:00:00Z","ip":"203.0.113.7","agent":"` + iphone + `"`
	birth := func(token string) string {
		return `{"time":"2026-10-01T11:00:00Z","new_link":{"token":"` + token + `","site":"news.example","page":"https://news.example/a"}}`
	}
	for _, c := range []struct {
		name  string
		lines []string // the last one is judged
		types string   // of its events; "-": taken, and nothing kept
		field string   // of its rejection
	}{
		{"a beacon", []string{head + `,"beacon":` + beacon(view) + `}`}, "view copy", ""},
		{"a beacon with a privacy signal", []string{head + `,"gpc":true,"beacon":` + beacon(view) + `}`}, "-", ""},
		{"a beacon of another site", []string{head + `,"beacon":` + strings.ReplaceAll(beacon(view), "news", "shop") + `}`}, "", "site"},
		{"an old line", []string{strings.Replace(head, "2026-10", "2024-08", 1) + `,"beacon":` + beacon(view) + `}`}, "", "time"},
		{"a line of the last day kept", []string{strings.Replace(head, "2026-10-01T11", "2024-09-01T13", 1) + `,"beacon":` + beacon(view) + `}`}, "view copy", ""},
		{"a line 24 hours ahead", []string{strings.Replace(head, "10-01T11", "10-02T12", 1) + `,"beacon":` + beacon(view) + `}`}, "view copy", ""},
		{"a line further ahead", []string{strings.Replace(head, "10-01T11:00:00Z", "10-02T12:00:01Z", 1) + `,"beacon":` + beacon(view) + `}`}, "", "time"},
		{"an old line with a privacy signal", []string{strings.Replace(head, "2026-10", "2024-08", 1) + `,"gpc":true,"beacon":{}}`}, "", "time"},
		{"a link's birth", []string{birth(other)}, "link", ""},
		{"a link's birth at an unknown site", []string{strings.ReplaceAll(birth(other), "news", "shop")}, "", "new_link.site"},
		{"a link's birth on another's page", []string{strings.Replace(birth(other), "https://news", "https://shop", 1)}, "", "new_link.page"},
		{"a request of a link of another day", []string{head + `,"link":"` + link + `"}`}, "open", ""},
		{"a request of an unknown link", []string{head + `,"link":"` + other + `"}`}, "", "link"},
		{"a request of a link born before", []string{birth(other), head + `,"link":"` + other + `"}`}, "open", ""},
		{"a request of a link born twice", []string{birth(other), birth(other), head + `,"link":"` + other + `"}`}, "open", ""},
		{"a request by a preview", []string{strings.Replace(head, iphone, preview, 1) + `,"link":"` + link + `"}`}, "unfurl", ""},
		{"a HEAD", []string{head + `,"link":"` + link + `","method":"HEAD"}`}, "-", ""},
		{"a HEAD of an unknown link", []string{head + `,"link":"` + other + `","method":"HEAD"}`}, "-", ""},
		{"a prefetch", []string{head + `,"link":"` + link + `","purpose":"prefetch"}`}, "-", ""},
		{"a prerender", []string{head + `,"link":"` + link + `","purpose":"prefetch;prerender"}`}, "-", ""},
		{"a request with a privacy signal", []string{head + `,"gpc":true,"link":"` + link + `"}`}, "-", ""},
		{"a request at a site that asks first", []string{head + `,"link":"` + unasked + `"}`}, "-", ""},
		{"a request by a preview at a site that asks first", []string{strings.Replace(head, iphone, preview, 1) + `,"link":"` + unasked + `"}`}, "-", ""},
		{"a request without agent", []string{`{"time":"2026-10-01T11:00:00Z","ip":"203.0.113.7","link":"` + link + `"}`}, "", "agent"},
		{"a request with an empty agent", []string{strings.Replace(head, iphone, "", 1) + `,"link":"` + link + `"}`}, "unfurl", ""},
		{"no line", []string{`{}`}, "", "time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := newIntake(t, nil, made{link: "https://news.example/a", unasked: "https://ask.example/a"}).Import()
			var events []*event.Event
			var err error
			for _, l := range c.lines {
				events, err = im.Line([]byte(l), noon)
			}
			if c.field != "" {
				if bad, ok := errors.AsType[*hit.Error](err); !ok || bad.Field != c.field || events != nil {
					t.Errorf("%d events, error %v, want one of %s", len(events), err, c.field)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var types []string
			for _, e := range events {
				types = append(types, e.Type)
			}
			if got, want := strings.Join(types, " "), strings.Trim(c.types, "-"); got != want {
				t.Errorf("events %q, want %q", got, want)
			}
		})
	}
}

func TestLineIsItsOwnClock(t *testing.T) {
	events, err := newIntake(t, nil, nil).Import().Line(
		[]byte(`{"time":"2026-03-05T08:00:00.250Z","ip":"203.0.113.7","agent":"`+iphone+`","beacon":`+beacon(view)+`}`), noon)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 5, 8, 0, 0, 250e6, time.UTC)
	if events[0].Received != at.UnixMilli() || events[0].Time != at.Add(-time.Second).UnixMilli() {
		t.Errorf("received %d, time %d, want %d, one second before", events[0].Received, events[0].Time, at.UnixMilli())
	}
}

func TestBirthNamesNobody(t *testing.T) {
	line := `{"time":"2026-10-01T11:00:00Z","ip":"203.0.113.7","agent":"` + iphone + `","new_link":{"token":"` + link +
		`","site":"news.example","page":"https://News.example/a?utm_source=x#top","campaign":"autumn","channel":"telegram","label":"Ada","kind":"influencer"}}`
	events, err := newIntake(t, nil, nil).Import().Line([]byte(line), noon)
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(-time.Hour).UnixMilli()
	want := &event.Event{
		Site: "news.example", Type: "link", Time: at, Received: at, Day: 20727, Privacy: "full", Page: "https://news.example/a",
		Token: link, Campaign: "autumn", Channel: "telegram", Label: "Ada", Kind: "influencer",
	}
	if len(events) != 1 || !proto.Equal(events[0], want) {
		t.Errorf("events %v, want %v", events, want)
	}
}

func TestUnfurlSaysWhoseAndWhichSide(t *testing.T) {
	im := newIntake(t, nil, made{link: "https://news.example/a"}).Import()
	events, err := im.Line([]byte(`{"time":"2026-10-01T12:00:00Z","ip":"203.0.113.7","agent":"`+preview+`","link":"`+link+`"}`), noon)
	if err != nil {
		t.Fatal(err)
	}
	e := events[0]
	if e.Type != "unfurl" || !e.Bot || e.Token != link || e.View != "" || e.Channel != "whatsapp" || e.Side != "sender" {
		t.Errorf("unfurl %v", e)
	}
}
