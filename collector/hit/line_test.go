package hit

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/site"
)

// Import lines with what is required of each kind.
var (
	beaconLine = fields{
		"time": `"2026-10-01T12:00:00.123Z"`, "ip": `"203.0.113.7"`, "agent": `"Mozilla/5.0"`, "beacon": string(plain.with(nil)),
	}
	linkLine    = fields{"time": `"2026-10-01T12:00:00Z"`, "ip": `"203.0.113.7"`, "agent": `"Mozilla/5.0"`, "link": q(view)}
	newLinkLine = fields{"time": `"2026-10-01T12:00:00Z"`, "new_link": string(newLink.with(nil))}
	newLink     = fields{"token": q(view), "site": `"news.example"`, "page": `"https://news.example/a"`}
)

// born is a change of newLinkLine in its link.
func born(change fields) fields { return fields{"new_link": string(newLink.with(change))} }

// Every rule of contract section 5.
func TestSection5(t *testing.T) {
	for _, c := range []struct {
		name   string
		line   fields
		change fields
		field  string // "": taken
	}{
		{"a beacon", beaconLine, nil, ""},
		{"a beacon with everything", beaconLine, fields{"package": `"com.whatsapp"`, "gpc": "false"}, ""},
		{"an unknown field", beaconLine, fields{"colour": `{"a":1}`}, ""},
		{"an empty agent", beaconLine, fields{"agent": `""`}, ""},
		{"no agent", beaconLine, fields{"agent": ""}, "agent"},
		{"an agent that is null", beaconLine, fields{"agent": "null"}, "agent"},
		{"a beacon and a link that is null", beaconLine, fields{"link": "null", "new_link": "null"}, ""},
		{"a beacon and a method", beaconLine, fields{"method": `"GET"`, "purpose": `""`}, ""},
		{"IPv6", beaconLine, fields{"ip": `"2001:db8::1"`}, ""},

		{"no time", beaconLine, fields{"time": ""}, "time"},
		{"a time without zone", beaconLine, fields{"time": `"2026-10-01T12:00:00"`}, "time"},
		{"a time that is a number", beaconLine, fields{"time": "1759320000"}, "time"},
		{"no ip", beaconLine, fields{"ip": ""}, "ip"},
		{"an ip that is none", beaconLine, fields{"ip": `"203.0.113.256"`}, "ip"},
		{"an ip with a port", beaconLine, fields{"ip": `"203.0.113.7:443"`}, "ip"},
		{"ip a number", beaconLine, fields{"ip": "3405803783"}, "ip"},
		{"agent a list", beaconLine, fields{"agent": "[]"}, "agent"},
		{"package a number", beaconLine, fields{"package": "1"}, "package"},
		{"gpc a text", beaconLine, fields{"gpc": `"1"`}, "gpc"},
		{"a beacon that is a text", beaconLine, fields{"beacon": `"{}"`}, "beacon"},
		{"a beacon that is a list", beaconLine, fields{"beacon": "[]"}, "beacon"},
		{"nothing but a time", beaconLine, fields{"beacon": ""}, "line"},
		{"a beacon and a link", beaconLine, fields{"link": q(view)}, "line"},
		{"a beacon and a new link", beaconLine, born(nil), "line"},

		{"a request of a link", linkLine, nil, ""},
		{"a request with everything", linkLine, fields{"method": `"HEAD"`, "purpose": `"prefetch;prerender"`, "gpc": "true", "package": `"com.slack"`}, ""},
		{"a request of no token", linkLine, fields{"link": `"abc"`}, "link"},
		{"a request of an empty token", linkLine, fields{"link": `""`}, "line"},
		{"a request without agent", linkLine, fields{"agent": ""}, "agent"},
		{"a request without ip", linkLine, fields{"ip": ""}, "ip"},
		{"a POST of a link", linkLine, fields{"method": `"POST"`}, "method"},
		{"method a number", linkLine, fields{"method": "1"}, "method"},
		{"purpose a list", linkLine, fields{"purpose": "[]"}, "purpose"},

		{"a new link", newLinkLine, nil, ""},
		{"a new link with everything", newLinkLine, born(fields{"campaign": `"autumn"`, "channel": `"telegram"`, "label": `"Ada"`, "kind": `"influencer"`}), ""},
		{"a new link made by a reader", newLinkLine, born(fields{"kind": `"share"`}), ""},
		{"a new link that is a text", newLinkLine, fields{"new_link": q(view)}, "new_link"},
		{"a new link without token", newLinkLine, born(fields{"token": ""}), "new_link.token"},
		{"a new link whose token does not verify", newLinkLine, born(fields{"token": q("x" + view[1:])}), "new_link.token"},
		{"a new link without site", newLinkLine, born(fields{"site": ""}), "new_link.site"},
		{"a new link without page", newLinkLine, born(fields{"page": ""}), "new_link.page"},
		{"a new link to a path", newLinkLine, born(fields{"page": `"/a"`}), "new_link.page"},
		{"a new link to a page of 2049 bytes", newLinkLine, born(fields{"page": q("https://news.example/" + strings.Repeat("x", 2028))}), "new_link.page"},
		{"a new link by no channel", newLinkLine, born(fields{"channel": `"pigeon"`}), "new_link.channel"},
		{"a new link of no kind", newLinkLine, born(fields{"kind": `"poster"`}), "new_link.kind"},
		{"a new link with a long label", newLinkLine, born(fields{"label": q(strings.Repeat("x", 257))}), "new_link.label"},
		{"a new link with a long campaign", newLinkLine, born(fields{"campaign": q(strings.Repeat("x", 257))}), "new_link.campaign"},
		{"campaign a number", newLinkLine, born(fields{"campaign": "7"}), "new_link.campaign"},
		{"a new link with an unknown field", newLinkLine, born(fields{"colour": "[]"}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := DecodeLine(c.line.with(c.change))
			if _, field := code(t, err); field != c.field {
				t.Fatalf("error %v, want one of %q", err, c.field)
			}
			if (l == nil) != (c.field != "") {
				t.Errorf("line %+v beside error %v", l, err)
			}
		})
	}
}

func TestLinesArrive(t *testing.T) {
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	address := netip.MustParseAddr("203.0.113.7")
	for _, c := range []struct {
		name string
		line []byte
		want Line
	}{
		{"a beacon", beaconLine.with(fields{"gpc": "true", "package": `"com.whatsapp"`}),
			Line{Time: at.Add(123 * time.Millisecond), Address: address, Agent: "Mozilla/5.0", Package: "com.whatsapp", GPC: true, Beacon: plain.with(nil)}},
		{"IPv4 written as IPv6", beaconLine.with(fields{"ip": `"::ffff:203.0.113.7"`}),
			Line{Time: at.Add(123 * time.Millisecond), Address: address, Agent: "Mozilla/5.0", Beacon: plain.with(nil)}},
		{"an address with somebody's zone", beaconLine.with(fields{"ip": `"fe80::1%eth0"`}),
			Line{Time: at.Add(123 * time.Millisecond), Address: netip.MustParseAddr("fe80::1"), Agent: "Mozilla/5.0", Beacon: plain.with(nil)}},
		{"a request is a GET", linkLine.with(nil),
			Line{Time: at, Address: address, Agent: "Mozilla/5.0", Link: &LinkHit{Token: view, Method: "GET"}}},
		{"a request for a prefetch", linkLine.with(fields{"method": `"GET"`, "purpose": `"prefetch"`}),
			Line{Time: at, Address: address, Agent: "Mozilla/5.0", Link: &LinkHit{Token: view, Method: "GET", Purpose: "prefetch"}}},
		{"a new link is for a chat", newLinkLine.with(nil),
			Line{Time: at, NewLink: &NewLink{Token: view, Site: "news.example", Page: "https://news.example/a", Kind: "chat", host: "news.example"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := DecodeLine(c.line)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, c.want) {
				t.Errorf("line\n got %+v\nwant %+v", *got, c.want)
			}
		})
	}
}

func TestNewLinkMustBeOfItsSite(t *testing.T) {
	for _, c := range []struct {
		name, page string
		site       *site.Site
		want       int
		field      string
	}{
		{"a page of the site", "https://news.example/a", news(t, site.Full), 204, ""},
		{"another's page", "https://shop.example/a", news(t, site.Full), 403, "new_link.page"},
		{"an unknown site", "https://news.example/a", nil, 403, "new_link.site"},
	} {
		l, err := DecodeLine(newLinkLine.with(born(fields{"page": q(c.page)})))
		if err != nil {
			t.Fatal(err)
		}
		if got, field := code(t, l.NewLink.Check(c.site)); got != c.want || field != c.field {
			t.Errorf("%s: %d %q, want %d %q", c.name, got, field, c.want, c.field)
		}
	}
}

func TestLineTooLong(t *testing.T) {
	line := beaconLine.with(nil)
	pad := strings.Repeat(" ", MaxLine-len(line))
	if _, err := DecodeLine([]byte(string(line) + pad)); err != nil {
		t.Errorf("128 KiB: %v", err)
	}
	if got, field := code(t, second(DecodeLine([]byte(string(line)+pad+" ")))); got != 400 || field != "line" {
		t.Errorf("a byte more: %d %q", got, field)
	}
}

func BenchmarkLine(b *testing.B) {
	line := fields(beaconLine).with(fields{"beacon": string(usual)})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
