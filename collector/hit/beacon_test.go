package hit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

// Every rule of contract section 4: what is sent, what is answered, and which
// field the answer names.
func TestSection4(t *testing.T) {
	long := func(n int) string { return q(strings.Repeat("x", n)) }
	wide := func(n int) string { return q(strings.Repeat("é", n)) }
	pageOf := func(bytes int) string {
		return q("https://news.example/" + strings.Repeat("x", bytes-len("https://news.example/")))
	}
	for _, c := range []struct {
		name   string
		change fields
		want   int
		field  string
	}{
		{"only what is required", nil, 204, ""},
		{"an unknown field is ignored", fields{"colour": `{"a":[1,{"b":null}]}`}, 204, ""},
		{"null is the same as absent", fields{"seq": "null", "via": "null", "width": "null", "return": "null", "published": "null", "app": "null"}, 204, ""},

		{"no site", fields{"site": ""}, 400, "site"},
		{"an empty site", fields{"site": `""`}, 400, "site"},
		{"site null", fields{"site": "null"}, 400, "site"},
		{"site a number", fields{"site": "4"}, 400, "site"},

		{"privacy of no level", fields{"privacy": `"none"`}, 400, "privacy"},
		{"privacy full said aloud", fields{"privacy": `"full"`}, 204, ""},
		{"privacy strict at a full site", fields{"privacy": `"strict"`}, 400, "privacy"},
		{"privacy consent at a full site", fields{"privacy": `"consent"`}, 400, "privacy"},
		{"privacy a list", fields{"privacy": `[]`}, 400, "privacy"},

		{"no page", fields{"page": ""}, 400, "page"},
		{"a path instead of a page", fields{"page": `"/a"`}, 400, "page"},
		{"a page without scheme", fields{"page": `"//news.example/a"`}, 400, "page"},
		{"an ftp page", fields{"page": `"ftp://news.example/a"`}, 400, "page"},
		{"a javascript page", fields{"page": `"javascript:alert(1)//https://news.example/"`}, 400, "page"},
		{"a page without host", fields{"page": `"https:///a"`}, 400, "page"},
		{"a page with only a port", fields{"page": `"https://:8080/a"`}, 400, "page"},
		{"a page with a user", fields{"page": `"https://news.example@evil.example/a"`}, 400, "page"},
		{"a page with a space", fields{"page": `"https://news.example/a b"`}, 400, "page"},
		{"a page with a line end", fields{"page": `"https://news.example/a\n"`}, 400, "page"},
		{"a page with a port that is no number", fields{"page": `"https://news.example:80a/"`}, 400, "page"},
		{"plain http", fields{"page": `"http://news.example/a"`}, 204, ""},
		{"scheme and host in upper case", fields{"page": `"HTTPS://NEWS.Example/a"`}, 204, ""},
		{"a port", fields{"page": `"https://news.example:8443/a"`}, 204, ""},
		{"a trailing dot", fields{"page": `"https://news.example./a"`}, 204, ""},
		{"a host without path", fields{"page": `"https://news.example"`}, 204, ""},
		{"a query right behind the host", fields{"page": `"https://news.example?x=1"`}, 204, ""},
		{"a percent sign browsers are content with", fields{"page": `"https://news.example/100%"`}, 204, ""},
		{"a subdomain under a star", fields{"page": `"https://sport.news.example/a"`}, 204, ""},
		{"another host", fields{"page": `"https://shop.example/a"`}, 403, "page"},
		{"a host that ends like ours", fields{"page": `"https://evilnews.example/a"`}, 403, "page"},
		{"a host that begins like ours", fields{"page": `"https://news.example.evil.example/a"`}, 403, "page"},
		{"our host behind a backslash", fields{"page": `"https://evil.example\\@news.example/a"`}, 403, "page"},
		{"our host in the path", fields{"page": `"https://evil.example/https://news.example/"`}, 403, "page"},
		{"a page of 2048 bytes", fields{"page": pageOf(2048)}, 204, ""},
		{"a page of 2049 bytes", fields{"page": pageOf(2049)}, 400, "page"},
		{"a page of 2048 bytes and its token", fields{"page": q(strings.Trim(pageOf(2048), `"`) + "#." + view)}, 204, ""},
		{"page an object", fields{"page": `{}`}, 400, "page"},

		{"no view", fields{"view": ""}, 400, "view"},
		{"a view that does not verify", fields{"view": q(view[:10] + "!")}, 400, "view"},
		{"a view cut short", fields{"view": q(view[:10])}, 400, "view"},
		{"view a number", fields{"view": "12345678901"}, 400, "view"},

		{"seq 0", fields{"seq": "0"}, 204, ""},
		{"the largest seq", fields{"seq": "4294967295"}, 204, ""},
		{"a seq too large", fields{"seq": "4294967296"}, 400, "seq"},
		{"seq below 0", fields{"seq": "-1"}, 400, "seq"},
		{"seq a fraction", fields{"seq": "1.5"}, 400, "seq"},
		{"seq with an exponent", fields{"seq": "1e2"}, 204, ""},
		{"seq with a fraction of nothing", fields{"seq": "5.0"}, 204, ""},
		{"seq with an exponent too large", fields{"seq": "1e10"}, 400, "seq"},
		{"seq with an exponent that leaves a fraction", fields{"seq": "15e-1"}, 400, "seq"},
		{"seq a text", fields{"seq": `"1"`}, 400, "seq"},

		{"a via that verifies", fields{"via": q(via)}, 204, ""},
		{"a via that does not verify", fields{"via": `"comments"`}, 204, ""},
		{"a via a day ahead", fields{"via": q(token.New(noon.Add(25*time.Hour), [6]byte{}))}, 204, ""},
		{"via a number", fields{"via": "1"}, 400, "via"},
		{"referrer a list", fields{"referrer": "[]"}, 400, "referrer"},
		{"a referrer of any form", fields{"referrer": `"android-app://com.slack/"`}, 204, ""},
		{"return", fields{"return": "true"}, 204, ""},
		{"return a text", fields{"return": `"true"`}, 400, "return"},
		{"return a number", fields{"return": "1"}, 400, "return"},
		{"an app that is a channel", fields{"app": `"telegram"`}, 204, ""},
		{"an app that is none", fields{"app": `"myspace"`}, 400, "app"},
		{"an empty app", fields{"app": `""`}, 204, ""},
		{"title a number", fields{"title": "7"}, 400, "title"},
		{"a long title", fields{"title": wide(5000)}, 204, ""},
		{"language a list", fields{"language": `["fr"]`}, 400, "language"},
		{"zone a number", fields{"zone": "1"}, 400, "zone"},
		{"width", fields{"width": "390"}, 204, ""},
		{"width of a wall", fields{"width": "65536"}, 204, ""},
		{"width of a zoomed window", fields{"width": "390.5"}, 204, ""},
		{"width below 0", fields{"width": "-1"}, 400, "width"},
		{"width a text", fields{"width": `"390"`}, 400, "width"},
		{"canonical a number", fields{"canonical": "1"}, 400, "canonical"},
		{"author a list", fields{"author": `["A"]`}, 400, "author"},
		{"section an object", fields{"section": `{}`}, 400, "section"},
		{"published", fields{"published": `"2026-10-01T08:00:00Z"`}, 204, ""},
		{"published with a zone and a fraction", fields{"published": `"2026-10-01T10:00:00.25+02:00"`}, 204, ""},
		{"published empty", fields{"published": `""`}, 204, ""},
		{"published a day", fields{"published": `"2026-10-01"`}, 400, "published"},
		{"published on no day", fields{"published": `"2026-02-30T08:00:00Z"`}, 400, "published"},
		{"published before any page", fields{"published": `"0001-01-01T00:00:00Z"`}, 400, "published"},
		{"published a number", fields{"published": "1759305600"}, 400, "published"},
		{"a visitor of 64 characters", fields{"visitor": wide(64)}, 204, ""},
		{"a visitor of 65 characters", fields{"visitor": long(65)}, 400, "visitor"},
		{"visitor a number", fields{"visitor": "1"}, 400, "visitor"},

		{"no events", fields{"events": ""}, 400, "events"},
		{"an empty list of events", fields{"events": "[]"}, 400, "events"},
		{"events an object", fields{"events": `{"type":"view"}`}, 400, "events"},
		{"64 events", fields{"events": "[" + strings.Repeat(`{"type":"ask","age":1},`, 63) + `{"type":"ask","age":1}]`}, 204, ""},
		{"65 events", fields{"events": "[" + strings.Repeat(`{"type":"ask","age":1},`, 64) + `{"type":"ask","age":1}]`}, 400, "events"},
		{"an event that is a text", fields{"events": `["view"]`}, 400, "events[0]"},
		{"an event that is null", fields{"events": `[{"type":"view","age":0},null]`}, 400, "events[1]"},
		{"the fourth of four is bad", fields{"events": `[{"type":"view","age":0},{"type":"ask","age":0},{"type":"ask","age":0},{"type":"copy","age":0,"what":"pdf"}]`}, 400, "events[3].what"},
		{"an event with an unknown field", event(fields{"type": `"view"`, "age": "0", "colour": "[1]"}), 204, ""},

		{"an event without type", event(fields{"age": "0"}), 400, "events[0].type"},
		{"an event of no type", event(fields{"type": `"hover"`, "age": "0"}), 400, "events[0].type"},
		{"a browser cannot send open", event(fields{"type": `"open"`, "age": "0"}), 400, "events[0].type"},
		{"nor confirm", event(fields{"type": `"confirm"`, "age": "0"}), 400, "events[0].type"},
		{"type a number", event(fields{"type": "1", "age": "0"}), 400, "events[0].type"},
		{"an event without age", event(fields{"type": `"view"`}), 400, "events[0].age"},
		{"an age below 0", event(fields{"type": `"view"`, "age": "-1"}), 400, "events[0].age"},
		{"an age of a day", event(fields{"type": `"view"`, "age": "86400000"}), 204, ""},
		{"an age over a day", event(fields{"type": `"view"`, "age": "86400001"}), 400, "events[0].age"},
		{"an age beyond all integers", event(fields{"type": `"view"`, "age": "99999999999999999999"}), 400, "events[0].age"},
		{"an age with a fraction", event(fields{"type": `"view"`, "age": "0.5"}), 204, ""},
		{"an age of a day with a fraction of nothing", event(fields{"type": `"view"`, "age": "86400000.0"}), 204, ""},
		{"an age a fraction over a day", event(fields{"type": `"view"`, "age": "86400000.1"}), 400, "events[0].age"},
		{"an age a fraction below 0", event(fields{"type": `"view"`, "age": "-0.1"}), 400, "events[0].age"},
		{"an age beyond all exponents", event(fields{"type": `"view"`, "age": "1e99999999999"}), 400, "events[0].age"},
		{"age a text", event(fields{"type": `"view"`, "age": `"0"`}), 400, "events[0].age"},

		{"view: hash written", event(fields{"type": `"view"`, "age": "0", "hash": `"written"`}), 204, ""},
		{"view: hash off", event(fields{"type": `"view"`, "age": "0", "hash": `"off"`}), 204, ""},
		{"view: hash of no kind", event(fields{"type": `"view"`, "age": "0", "hash": `"lost"`}), 400, "events[0].hash"},
		{"view: hash a boolean", event(fields{"type": `"view"`, "age": "0", "hash": "true"}), 400, "events[0].hash"},

		{"copy: a link", event(fields{"type": `"copy"`, "age": "0", "what": `"link"`}), 204, ""},
		{"copy: a text with its size", event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "chars": "120", "words": "20"}), 204, ""},
		{"copy without what", event(fields{"type": `"copy"`, "age": "0"}), 400, "events[0].what"},
		{"copy of no kind", event(fields{"type": `"copy"`, "age": "0", "what": `"video"`}), 400, "events[0].what"},
		{"copy: chars below 0", event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "chars": "-1"}), 400, "events[0].chars"},
		{"copy: words a text", event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "words": `"many"`}), 400, "events[0].words"},
		{"copy: a quote of 300 characters", event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "quote": wide(300)}), 204, ""},
		{"copy: a quote of 301 characters", event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "quote": long(301)}), 400, "events[0].quote"},

		{"share by a channel", event(fields{"type": `"share"`, "age": "0", "channel": `"whatsapp"`, "token": q(share), "outcome": `"done"`}), 204, ""},
		{"share by the sheet", event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`, "token": q(share)}), 204, ""},
		{"share by a copy button", event(fields{"type": `"share"`, "age": "0", "channel": `"copy"`, "token": q(share)}), 204, ""},
		{"share without channel", event(fields{"type": `"share"`, "age": "0", "token": q(share)}), 400, "events[0].channel"},
		{"share by no channel", event(fields{"type": `"share"`, "age": "0", "channel": `"pigeon"`, "token": q(share)}), 400, "events[0].channel"},
		{"share without token", event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`}), 400, "events[0].token"},
		{"share with a token that does not verify", event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`, "token": q("x" + share[1:])}), 400, "events[0].token"},
		{"share with the view's token", event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`, "token": q(view)}), 400, "events[0].token"},
		{"share with the view's token, the second of two", fields{"events": `[{"type":"view","age":0},{"type":"share","age":0,"channel":"copy","token":` + q(view) + `}]`}, 400, "events[1].token"},
		{"share of no outcome", event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`, "token": q(share), "outcome": `"sent"`}), 400, "events[0].outcome"},

		{"engage", event(fields{"type": `"engage"`, "age": "0", "visible": "0", "scroll": "100"}), 204, ""},
		{"engage without visible", event(fields{"type": `"engage"`, "age": "0", "scroll": "1"}), 400, "events[0].visible"},
		{"engage: visible below 0", event(fields{"type": `"engage"`, "age": "0", "visible": "-1"}), 400, "events[0].visible"},
		{"engage: visible for a year", event(fields{"type": `"engage"`, "age": "0", "visible": "31536000000"}), 400, "events[0].visible"},
		{"engage: scroll a fraction over 100", event(fields{"type": `"engage"`, "age": "0", "visible": "1", "scroll": "100.4"}), 400, "events[0].scroll"},
		{"engage: scroll over 100", event(fields{"type": `"engage"`, "age": "0", "visible": "1", "scroll": "101"}), 400, "events[0].scroll"},

		{"convert by name alone", event(fields{"type": `"convert"`, "age": "0", "name": `"subscribe"`}), 204, ""},
		{"convert without name", event(fields{"type": `"convert"`, "age": "0", "value": "1"}), 400, "events[0].name"},
		{"convert with an empty name", event(fields{"type": `"convert"`, "age": "0", "name": `""`}), 400, "events[0].name"},
		{"convert: all of it", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "value": "12.5", "currency": `"EUR"`, "order": `"A-1"`}), 204, ""},
		{"convert: value below 0", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "value": "-0.01"}), 400, "events[0].value"},
		{"convert: value just under the limit", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "value": "999999999.9999"}), 204, ""},
		{"convert: value at the limit", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "value": "1e9"}), 400, "events[0].value"},
		{"convert: value a text", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "value": `"12.50"`}), 400, "events[0].value"},
		{"convert: a currency of two letters", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "currency": `"EU"`}), 400, "events[0].currency"},
		{"convert: a currency that is none", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "currency": `"ZZZ"`}), 400, "events[0].currency"},
		{"convert: a currency's sign", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "currency": `"€"`}), 400, "events[0].currency"},
		{"convert: an order of 128 bytes", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "order": long(128)}), 204, ""},
		{"convert: an order of 129 bytes", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "order": long(129)}), 400, "events[0].order"},
		{"convert: order a number", event(fields{"type": `"convert"`, "age": "0", "name": `"order"`, "order": "17"}), 400, "events[0].order"},

		{"ask", event(fields{"type": `"ask"`, "age": "0"}), 204, ""},

		{"answer", event(fields{"type": `"answer"`, "age": "0", "source": `"person"`, "channel": `"signal"`, "mood": "-1", "text": `"my sister"`}), 204, ""},
		{"answer without source", event(fields{"type": `"answer"`, "age": "0"}), 400, "events[0].source"},
		{"answer of no source", event(fields{"type": `"answer"`, "age": "0", "source": `"radio"`}), 400, "events[0].source"},
		{"answer by no channel", event(fields{"type": `"answer"`, "age": "0", "source": `"person"`, "channel": `"sheet"`}), 400, "events[0].channel"},
		{"answer: mood over 1", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "mood": "2"}), 400, "events[0].mood"},
		{"answer: mood below -1", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "mood": "-2"}), 400, "events[0].mood"},
		{"answer: a mood with a fraction of nothing", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "mood": "-1.0"}), 204, ""},
		{"answer: half a mood", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "mood": "0.5"}), 400, "events[0].mood"},
		{"answer: a text of 500 characters", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "text": wide(500)}), 204, ""},
		{"answer: a text of 501 characters", event(fields{"type": `"answer"`, "age": "0", "source": `"self"`, "text": wide(501)}), 400, "events[0].text"},

		{"a field of another type is not judged by its rules", event(fields{"type": `"ask"`, "age": "0", "what": `"video"`, "token": `"x"`, "hash": `"?"`}), 204, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := plain.with(c.change)
			_, err := accept(body, news(t, site.Full), "")
			if got, field := code(t, err); got != c.want || field != c.field {
				t.Errorf("answer %d %q (%v), want %d %q", got, field, err, c.want, c.field)
			}
		})
	}
}

// Every enumeration of section 4, value by value.
func TestEnumerations(t *testing.T) {
	for _, e := range []struct {
		rest   fields
		field  string
		values string
	}{
		{fields{"type": `"view"`}, "hash", "written failed excluded refused off"},
		{fields{"type": `"copy"`}, "what", "link text image code email phone"},
		{fields{"type": `"share"`, "token": q(share)}, "channel", "sheet copy whatsapp meta other vk"},
		{fields{"type": `"share"`, "token": q(share), "channel": `"sheet"`}, "outcome", "offered done cancelled"},
		{fields{"type": `"answer"`}, "source", "person search social ai newsletter bookmark self other"},
	} {
		for _, v := range strings.Fields(e.values) {
			ok := event(fields(e.rest).plus("age", "1", e.field, q(v)))
			if _, err := accept(plain.with(ok), news(t, site.Full), ""); err != nil {
				t.Errorf("%s %s: %v", e.field, v, err)
			}
			wrong := event(fields(e.rest).plus("age", "1", e.field, q(strings.ToUpper(v))))
			if got, field := code(t, second(accept(plain.with(wrong), news(t, site.Full), ""))); got != 400 || field != "events[0]."+e.field {
				t.Errorf("%s in upper case: %d %q", v, got, field)
			}
		}
	}
}

func (f fields) plus(pairs ...string) fields {
	all := fields{}
	for k, v := range f {
		all[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

func second[T any](_ T, err error) error { return err }

func TestBodiesThatAreNoBeacon(t *testing.T) {
	good := string(plain.with(nil))
	for _, c := range []struct{ name, body, field string }{
		{"nothing", "", "body"},
		{"only space", " \n\t", "body"},
		{"a text", `"hello"`, "body"},
		{"a list", "[" + good + "]", "body"},
		{"null", "null", "body"},
		{"a form", "site=news.example&view=x", "body"},
		{"cut short", good[:len(good)-1], "body"},
		{"cut inside a text", good[:strings.Index(good, "view")+4], "events[0].type"},
		{"two of them", good + good, "body"},
		{"a comma at the end", good[:len(good)-1] + ",}", "body"},
		{"single quotes", strings.ReplaceAll(good, `"`, "'"), "body"},
		{"a comment", "/* */" + good, "body"},
		{"a byte order mark", "\ufeff" + good, "body"},
		{"a name twice", good[:len(good)-1] + `,"site":"shop.example"}`, "body"},
		{"a name twice, once escaped", good[:len(good)-1] + `,"s\u0069te":"shop.example"}`, "body"},
		{"an unknown name twice", good[:len(good)-1] + `,"x":1,"x":2}`, "body"},
		{"a name twice in an event", strings.Replace(good, `"age":0`, `"age":0,"age":1`, 1), "events[0]"},
		{"bytes that are no UTF-8 in a field", strings.Replace(good, `"site":"`, `"title":"caf`+"\xe9"+`","site":"`, 1), "title"},
		{"bytes that are no UTF-8 in an unknown field", strings.Replace(good, `"site":"`, `"x":"`+"\xff"+`","site":"`, 1), "body"},
		{"half a surrogate pair", strings.Replace(good, `"site":"`, `"title":"\ud83d","site":"`, 1), "title"},
		{"a control character in a text", strings.Replace(good, `"site":"`, `"title":"a`+"\x01"+`","site":"`, 1), "title"},
		{"NaN", strings.Replace(good, `"age":0`, `"age":NaN`, 1), "events[0].age"},
		{"a number with leading zero", strings.Replace(good, `"age":0`, `"age":00`, 1), "events[0]"},
		{"nested beyond the decoder's depth", strings.Replace(good, `"site":"`, `"x":`+strings.Repeat("[", 20000)+`,"site":"`, 1), "body"},
		{"longer than 64 KiB", good[:len(good)-1] + `,"x":"` + strings.Repeat("x", MaxBody) + `"}`, "body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.body))
			if got, field := code(t, err); got != 400 || field != c.field {
				t.Errorf("answer %d %q (%v), want 400 %q", got, field, err, c.field)
			}
		})
	}
	if _, err := Decode([]byte(" \n" + good + "\n")); err != nil {
		t.Errorf("space around a beacon: %v", err)
	}
	if _, err := Decode([]byte(good[:len(good)-1] + strings.Repeat(" ", MaxBody-len(good)) + "}")); err != nil {
		t.Errorf("a body of exactly 64 KiB: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		name, origin string
		want         int
	}{
		{"none sent", "", 204},
		{"the site", "https://news.example", 204},
		{"the site by http and port", "http://news.example:8080", 204},
		{"a subdomain", "https://amp.news.example", 204},
		{"upper case and a dot at the end", "https://News.Example.", 204},
		{"null", "null", 403},
		{"another site", "https://shop.example", 403},
		{"a look-alike", "https://evilnews.example", 403},
		{"an extension", "chrome-extension://news.example", 403},
		{"a host without scheme", "news.example", 403},
		{"with a user", "https://news.example@evil.example", 403},
		{"nonsense", "https://", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := accept(plain.with(nil), news(t, site.Full), c.origin)
			got, field := code(t, err)
			if got != c.want || got == 403 && field != "origin" {
				t.Errorf("origin %q: %d %q, want %d", c.origin, got, field, c.want)
			}
		})
	}
}

func TestUnknownSite(t *testing.T) {
	b, err := Decode(plain.with(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, field := code(t, b.Check(nil, "", noon)); got != 403 || field != "site" {
		t.Errorf("answer %d %q, want 403 site", got, field)
	}
}

func TestPrivacyLevels(t *testing.T) {
	for _, level := range []site.Level{site.Full, site.Strict, site.Consent} {
		for _, sent := range []site.Level{"", site.Full, site.Strict, site.Consent} {
			t.Run(fmt.Sprintf("%s sent to %s", sent, level), func(t *testing.T) {
				change := fields{"view": q(token.Cohort("news.example", "https://news.example/a", 6564, 0))}
				want, field := 204, ""
				if sent != "" {
					change["privacy"] = q(string(sent))
				}
				if sent != level && (sent != "" || level != site.Full) {
					want, field = 400, "privacy"
				}
				_, err := accept(plain.with(change), news(t, level), "")
				if got, f := code(t, err); got != want || f != field {
					t.Errorf("answer %d %q, want %d %q", got, f, want, field)
				}
			})
		}
	}
}

// At a site that counts after consent a share is as much a node as at a full
// one.
func TestShareAtAConsentSiteHasATokenOfItsOwn(t *testing.T) {
	for sent, want := range map[string]int{share: 204, view: 400} {
		body := event(fields{"type": `"share"`, "age": "0", "channel": `"sheet"`, "token": q(sent)}).plus("privacy", `"consent"`)
		_, err := accept(plain.with(body), news(t, site.Consent), "")
		if got, field := code(t, err); got != want || want == 400 && field != "events[0].token" {
			t.Errorf("token %s: answer %d %q, want %d", sent, got, field, want)
		}
	}
}

func TestStrictSite(t *testing.T) {
	const page = "https://news.example/a"
	cohort := token.Cohort("news.example", page, 6564, 3)
	shared := func(t string) string {
		return `[{"type":"view","age":0},{"type":"share","age":0,"channel":"sheet","token":` + q(t) + `}]`
	}
	for _, c := range []struct {
		name   string
		change fields
		want   int
		field  string
	}{
		{"a cohort's token", nil, 204, ""},
		{"with query and fragment", fields{"page": q(page + "?utm_source=x#comments")}, 204, ""},
		{"a reader's own token", fields{"view": q(view)}, 400, "view"},
		{"another page's cohort", fields{"page": q(page + "b")}, 400, "view"},
		{"a share with the view's token", fields{"events": shared(cohort)}, 204, ""},
		{"a share with its own token", fields{"events": shared(share)}, 400, "events[1].token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := plain.plus("privacy", `"strict"`, "view", q(cohort), "visitor", `"me"`).with(c.change)
			s := news(t, site.Strict)
			s.Quotes = true
			b, err := accept(body, s, "")
			if got, field := code(t, err); got != c.want || field != c.field {
				t.Fatalf("answer %d %q, want %d %q", got, field, c.want, c.field)
			}
			if err == nil && (b.Generation != 3 || b.Visitor != "") {
				t.Errorf("generation %d, visitor %q, want 3 and none", b.Generation, b.Visitor)
			}
		})
	}
}

func TestQuotesOnlyWhereTheSiteKeepsThem(t *testing.T) {
	for _, c := range []struct {
		level  site.Level
		quotes bool
		want   string
	}{
		{site.Full, false, ""},
		{site.Full, true, "a passage"},
		{site.Consent, true, "a passage"},
		{site.Strict, true, ""},
	} {
		s := news(t, c.level)
		s.Quotes = c.quotes
		change := event(fields{"type": `"copy"`, "age": "0", "what": `"text"`, "quote": `"a passage"`})
		change["privacy"] = q(string(c.level))
		change["view"] = q(token.Cohort("news.example", "https://news.example/a", 6564, 0))
		b, err := accept(plain.with(change), s, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Events[0].Quote; got != c.want {
			t.Errorf("%s, quotes %v: kept %q, want %q", c.level, c.quotes, got, c.want)
		}
	}
}

func TestViaThatDoesNotHoldIsDropped(t *testing.T) {
	for _, c := range []struct{ name, via, want string }{
		{"holds", via, via},
		{"a day ahead to the minute", token.New(noon.Add(24*time.Hour), [6]byte{}), token.New(noon.Add(24*time.Hour), [6]byte{})},
		{"more than a day ahead", token.New(noon.Add(24*time.Hour+time.Minute), [6]byte{}), ""},
		{"an old one", token.New(time.Time{}, [6]byte{}), token.New(time.Time{}, [6]byte{})},
		{"an anchor", "comments", ""},
		{"one wrong character", "x" + via[1:], ""},
		{"empty", "", ""},
	} {
		b, err := accept(plain.with(fields{"via": q(c.via)}), news(t, site.Full), "")
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if b.Via != c.want {
			t.Errorf("%s: via %q, want %q", c.name, b.Via, c.want)
		}
	}
}
