package hit

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

// Whatever bytes come: no panic, an error of ours in our words, or a beacon
// that keeps every limit and says what the general decoder says.
func FuzzDecode(f *testing.F) {
	f.Add(busy)
	f.Add(usual)
	f.Add(plain.with(event(fields{"type": `"share"`, "age": "3", "channel": `"sheet"`, "token": q(share), "outcome": `"done"`})))
	f.Add(plain.with(event(fields{"type": `"convert"`, "age": "3", "name": `"order"`, "value": "12.34567e2", "currency": `"chf"`, "order": `"A"`})))
	f.Add(plain.with(event(fields{"type": `"copy"`, "age": "3", "what": `"text"`, "chars": "3", "words": "1", "quote": `"🐟\ud83d\udc1f"`})))
	f.Add(plain.with(event(fields{"type": `"answer"`, "age": "3", "source": `"person"`, "mood": "-1", "text": `"\u0000"`})))
	f.Add([]byte(`{"site":"a","site":"b"}`))
	s := news(f, site.Full)
	s.Quotes = true
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := accept(body, s, "")
		if err != nil {
			ours(t, err)
			return
		}
		beaconHolds(t, b)
		var sent struct {
			Site     string `json:"site"`
			View     string `json:"view"`
			Language string `json:"language"`
			Events   []struct {
				Type string  `json:"type"`
				Age  float64 `json:"age"`
			} `json:"events"`
		}
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatalf("taken, but the general decoder says %v", err)
		}
		if sent.Site != b.Site || sent.View != b.View || !strings.HasPrefix(sent.Language, b.Language) || len(sent.Events) != len(b.Events) {
			t.Fatalf("general decoder: %+v, ours: %+v", sent, b)
		}
		for i, e := range b.Events {
			if e.Type != sent.Events[i].Type || math.Abs(float64(e.Age.Milliseconds())-sent.Events[i].Age) > 0.500001 {
				t.Fatalf("event %d: general decoder: %+v, ours: %+v", i, sent.Events[i], e)
			}
		}
	})
}

func FuzzDecodeLine(f *testing.F) {
	f.Add(beaconLine.with(nil))
	f.Add(linkLine.with(fields{"method": `"HEAD"`, "purpose": `"prefetch"`}))
	f.Add(newLinkLine.with(born(fields{"campaign": `"autumn"`, "channel": `"telegram"`, "label": `"Ada"`, "kind": `"print"`})))
	f.Add([]byte(`{"time":"2026-10-01T12:00:00Z","ip":"::ffff:1.2.3.4%x","link":null}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := DecodeLine(line)
		if err != nil {
			ours(t, err)
			return
		}
		if l.Time.IsZero() {
			t.Fatal("no time")
		}
		switch {
		case l.NewLink != nil:
			n := l.NewLink
			if l.Beacon != nil || l.Link != nil || !token.Valid(n.Token) || n.Kind == "" || n.Site == "" || len(n.Page) > maxPage {
				t.Fatalf("line %+v", l)
			}
		case l.Link != nil:
			if l.Beacon != nil || !token.Valid(l.Link.Token) || l.Link.Method == "" || !l.Address.IsValid() {
				t.Fatalf("line %+v", l)
			}
		default:
			if !l.Address.IsValid() || l.Address.Is4In6() || l.Address.Zone() != "" {
				t.Fatalf("address %v", l.Address)
			}
			if b, err := Decode(l.Beacon); err != nil {
				ours(t, err)
			} else {
				beaconHolds(t, b)
			}
		}
	})
}

// FuzzMoney holds tenThousandths against the exact arithmetic of big decimals.
func FuzzMoney(f *testing.F) {
	for _, s := range []string{"0", "-0", "12.5", "1e2", "0.00005", "999999999.99995", "1e-99999999999", "123456789012345678901234567890e-25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !isNumber(s) || len(s) > 60 {
			return
		}
		got, ok := tenThousandths(s)
		want, wantOK := bigTenThousandths(s)
		if ok != wantOK || ok && got != want {
			t.Fatalf("%s: %d, %v, want %d, %v", s, got, ok, want, wantOK)
		}
	})
}

func ours(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("%v is no *Error", err)
	}
	if e.Field == "" || e.Problem == "" || !plainName(e.Field) {
		t.Fatalf("error %#v", e)
	}
}

// plainName tells whether a field's name is ours: nobody sends such.
func plainName(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_[0123456789].") == ""
}

func beaconHolds(t *testing.T, b *Beacon) {
	t.Helper()
	switch {
	case b.Site == "", len(b.Page) > maxPage, !token.Valid(b.View), b.Via != "" && !token.Valid(b.Via),
		b.App != "" && !channel.Known(b.App), len(b.Events) < 1, len(b.Events) > maxEvents,
		len(b.Title) > maxTitle, len(b.Author) > maxAuthor, len(b.Section) > maxSection, len(b.Referrer) > maxPage,
		len(b.Canonical) > maxPage, len(b.Language) > maxLanguage, len(b.Zone) > maxZone, b.Width > maxWidth,
		utf8.RuneCountInString(b.Visitor) > maxVisitor:
		t.Fatalf("beacon %+v", b)
	}
	for _, s := range []string{b.Page, b.Referrer, b.Title, b.Author, b.Section, b.Language, b.Zone, b.Canonical, b.Visitor} {
		if !utf8.ValidString(s) {
			t.Fatalf("%q is no UTF-8", s)
		}
	}
	for _, e := range b.Events {
		switch {
		case e.Type == "", e.Age < 0, e.Age.Milliseconds() > maxAge, e.Visible < 0, e.Visible.Milliseconds() > maxVisible,
			e.Scroll > 100, e.Value < 0, e.Value > maxSum, e.Mood < -1, e.Mood > 1, e.Currency != "" && len(e.Currency) != 3,
			len(e.Name) > maxName, len(e.Order) > maxOrder, utf8.RuneCountInString(e.Quote) > maxQuote,
			utf8.RuneCountInString(e.Text) > maxText, e.Token != "" && !token.Valid(e.Token):
			t.Fatalf("event %+v", e)
		}
	}
}
