package hit

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/passalong/passalong/collector/site"
)

func TestEveryFieldArrives(t *testing.T) {
	body := []byte(`{
		"site": "news.example", "privacy": "full", "page": "https://news.example/a?x=1#c.` + view + `", "view": "` + view + `",
		"seq": 3, "via": "` + via + `", "referrer": "https://t.co/", "return": true, "app": "telegram",
		"title": "Tom \u0026 \"Jerry\" 🐟", "language": "fr-FR", "zone": "Europe/Paris", "width": 390,
		"canonical": "https://news.example/a", "author": "A", "section": "S", "published": "2026-10-01T08:00:00Z",
		"visitor": "me", "events": [
			{"type":"view","age":1,"hash":"written"},
			{"type":"copy","age":2,"what":"text","chars":10,"words":2,"quote":"dropped"},
			{"type":"share","age":3,"channel":"sheet","token":"` + share + `","outcome":"offered"},
			{"type":"engage","age":4,"visible":1500,"scroll":80},
			{"type":"convert","age":5,"name":"order","value":12.3456,"currency":"usd","order":"A-1"},
			{"type":"convert","age":6,"name":"gift","value":1},
			{"type":"ask","age":7,"what":"link","visible":9},
			{"type":"answer","age":8,"source":"person","channel":"signal","mood":-1,"text":"my sister"}
		]}`)
	got, err := accept(body, news(t, site.Full), "https://news.example")
	if err != nil {
		t.Fatal(err)
	}
	seq := uint32(3)
	ms := time.Millisecond
	want := &Beacon{
		Site: "news.example", Privacy: site.Full, Page: "https://news.example/a?x=1#c", View: view,
		Seq: &seq, Via: via, Referrer: "https://t.co/", Return: true, App: "telegram",
		Title: `Tom & "Jerry" 🐟`, Language: "fr-FR", Zone: "Europe/Paris", Width: 390,
		Canonical: "https://news.example/a", Author: "A", Section: "S", Published: time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC),
		Visitor: "me", seq: 3, host: "news.example", Events: []Event{
			{Type: "view", Age: 1 * ms, Hash: "written"},
			{Type: "copy", Age: 2 * ms, What: "text", Chars: 10, Words: 2},
			{Type: "share", Age: 3 * ms, Channel: "sheet", Token: share, Outcome: "offered"},
			{Type: "engage", Age: 4 * ms, Visible: 1500 * ms, Scroll: 80},
			{Type: "convert", Age: 5 * ms, Name: "order", Value: 123456, Currency: "USD", Order: "A-1"},
			{Type: "convert", Age: 6 * ms, Name: "gift", Value: 10000, Currency: "EUR"},
			{Type: "ask", Age: 7 * ms},
			{Type: "answer", Age: 8 * ms, Source: "person", Channel: "signal", Mood: -1, Text: "my sister"},
		},
	}
	got.few = want.few // where the first two events stood before there were more
	if !reflect.DeepEqual(got, want) {
		t.Errorf("beacon\n got %+v\nwant %+v", got, want)
	}
}

func TestBodyMayBeReused(t *testing.T) {
	body := plain.with(fields{"title": `"a \"title\""`})
	b, err := Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = '#'
	}
	if b.Site != "news.example" || b.View != view || b.Title != `a "title"` || b.Events[0].Type != "view" {
		t.Errorf("beacon changed with its body: %+v", b)
	}
}

func TestDescriptiveTextsAreCutAtACharacter(t *testing.T) {
	long := strings.Repeat("x", 3) + strings.Repeat("🐟", 1000)
	b, err := Decode(plain.with(fields{
		"title": q(long), "author": q(long), "section": q(long), "language": q(long), "zone": q(long), "referrer": q(long),
		"canonical": q("https://news.example/" + long),
		"events":    `[{"type":"convert","age":0,"name":` + q(long) + `}]`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, got string
		limit     int
	}{
		{"title", b.Title, 512}, {"author", b.Author, 256}, {"section", b.Section, 128}, {"language", b.Language, 35},
		{"zone", b.Zone, 64}, {"referrer", b.Referrer, 2048}, {"name", b.Events[0].Name, 128},
	} {
		if len(c.got) > c.limit || len(c.got) < c.limit-3 || !utf8.ValidString(c.got) || !strings.HasPrefix(long, c.got) {
			t.Errorf("%s: %d bytes, want %d at most, cut at a character", c.name, len(c.got), c.limit)
		}
	}
	if b.Canonical != "" {
		t.Errorf("half a canonical address was kept")
	}
}

func TestTokenIsTakenOffThePage(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"https://news.example/a#." + view, "https://news.example/a"},
		{"https://news.example/a#c." + view, "https://news.example/a#c"},
		{"https://news.example/a?x=1#a.b." + view, "https://news.example/a?x=1#a.b"},
		{"https://news.example/a#c", "https://news.example/a#c"},
		{"https://news.example/a#", "https://news.example/a#"},
		{"https://news.example/a?b=." + view, "https://news.example/a?b=." + view},
		{"https://news.example/." + view, "https://news.example/." + view},
	} {
		b, err := Decode(plain.with(fields{"page": q(c.sent)}))
		if err != nil {
			t.Fatal(err)
		}
		if b.Page != c.want {
			t.Errorf("page %q became %q, want %q", c.sent, b.Page, c.want)
		}
	}
}

// What is wrong with a beacon is told without repeating what was sent: the
// text goes into answers and, for an import, onto a terminal.
func TestErrorsNeverRepeatWhatWasSent(t *testing.T) {
	const secret = "s3cr3t\u001b[31m"
	for _, body := range [][]byte{
		plain.with(fields{"view": q(secret)}), plain.with(fields{"app": q(secret)}), plain.with(fields{"privacy": q(secret)}),
		plain.with(fields{"published": q(secret)}), plain.with(fields{"page": q(secret)}),
		plain.with(event(fields{"type": q(secret), "age": "0"})),
		plain.with(event(fields{"type": `"convert"`, "age": "0", "name": `"x"`, "currency": q(secret)})),
		[]byte(`{"s3cr3t":1,"s3cr3t":2}`), []byte(`{"s3cr3t":nope}`), []byte(`{"site":"s3cr3t`), []byte(`s3cr3t`),
		[]byte(`{"events":[{"s3cr3t":?}]}`),
	} {
		_, err := Decode(body)
		if err == nil {
			t.Errorf("%s is taken", body)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "\u001b") {
			t.Errorf("%s: error %q repeats it", body, err)
		}
	}
}

var busy = []byte(`{"site":"news.example","page":"https://news.example/2026/10/the-long-read?x=1#comments","view":"` + view + `","seq":0,"via":"` + via +
	`","referrer":"https://www.example.org/","title":"The long read: how a link travels","language":"fr-FR","zone":"Europe/Paris","width":390,` +
	`"canonical":"https://news.example/2026/10/the-long-read","author":"A. Writer","section":"Culture","published":"2026-10-01T08:00:00Z",` +
	`"events":[{"type":"view","age":12,"hash":"written"},{"type":"engage","age":0,"visible":12345,"scroll":80}]}`)

var usual = []byte(`{"site":"news.example","privacy":"full","page":"https://news.example/2026/10/the-long-read","view":"` + view + `","seq":0,"via":"` + via +
	`","referrer":"","title":"The long read: how a link travels","language":"fr-FR","zone":"Europe/Paris","width":390,` +
	`"events":[{"type":"view","age":12,"hash":"written"}]}`)

// What the decoder's own walk over the same beacon costs, for comparison.
func BenchmarkWalk(b *testing.B) {
	b.ReportAllocs()
	dec := jsontext.NewDecoder(new(bytes.Buffer))
	for b.Loop() {
		buf := bytes.NewBuffer(usual)
		dec.Reset(buf)
		for dec.PeekKind() != 0 {
			if _, err := dec.ReadToken(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// A beacon of a first page view, 310 bytes, and one with every field that
// describes a page, 600 bytes.
func BenchmarkBeacon(b *testing.B) {
	s := news(b, site.Full)
	for name, body := range map[string][]byte{"view": usual, "every field": busy} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				beacon, err := accept(body, s, "https://news.example")
				if err != nil {
					b.Fatal(err)
				}
				beacon.Release()
			}
		})
	}
}
