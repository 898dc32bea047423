package enrich

import (
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

func builtin(t testing.TB) *facts {
	t.Helper()
	f, err := loadFacts(Builtin())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Every table as it ships: loads, and every example is claimed by its own row.
func TestEveryExampleIsClaimedByItsOwnRow(t *testing.T) {
	if err := builtin(t).check(); err != nil {
		t.Error(err)
	}
}

// The checker is tested with bad tables: the built-in ones, of which one has
// other lines. Each must be refused with file and line.
func TestBadTablesAreRefused(t *testing.T) {
	const tail = "\thttps://vendor.example\t2026-11-24"
	agent := "Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 "
	for _, c := range []struct {
		name, file string
		lines      []string // after the header, instead of the built-in rows; nil: another header
		want       string
	}{
		{"wrong header", "apps.tsv", nil, "apps.tsv:1: the header is"},
		{"a cell too few", "apps.tsv", []string{"Foo/\tline\tFoo\t" + agent + "Foo/1" + tail}, "apps.tsv:2: 6 cells, want 7"},
		{"a space at the edge", "apps.tsv", []string{"Foo/\tline \tFoo\t\t" + agent + "Foo/1" + tail}, "apps.tsv:2: channel: a space"},
		{"an empty key", "apps.tsv", []string{"\tline\tFoo\t\t" + agent + "Foo/1" + tail}, "apps.tsv:2: match is empty"},
		{"a key twice", "clickids.tsv", []string{"gclid\tpaid\thttps://a.example/?gclid=1" + tail, "gclid\tpaid\thttps://a.example/?gclid=1" + tail}, `clickids.tsv:3: "gclid" stands twice`},
		{"not sorted", "clickids.tsv", []string{"gclid\tpaid\thttps://a.example/?gclid=1" + tail, "fbclid\tshared\thttps://a.example/?fbclid=1" + tail}, "clickids.tsv:3: not sorted"},
		{"no example", "apps.tsv", []string{"Foo/\tline\tFoo\t\t" + tail}, "apps.tsv:2: no example"},
		{"no source", "apps.tsv", []string{"Foo/\tline\tFoo\t\t" + agent + "Foo/1\t\t2026-11-24"}, "apps.tsv:2: no source"},
		{"no date", "apps.tsv", []string{"Foo/\tline\tFoo\t\t" + agent + "Foo/1\tx\tyesterday"}, `apps.tsv:2: date "yesterday"`},
		{"no such channel", "apps.tsv", []string{"Foo/\tfoogram\tFoo\t\t" + agent + "Foo/1" + tail}, `apps.tsv:2: "foogram" is no channel`},
		{"app without a name", "apps.tsv", []string{"Foo/\tline\t\t\t" + agent + "Foo/1" + tail}, "apps.tsv:2: name is empty"},
		{"token of one letter", "apps.tsv", []string{"x\tline\tFoo\t\t" + agent + "x" + tail}, "apps.tsv:2: token"},
		{"token outside ASCII", "apps.tsv", []string{"Föö\tline\tFoo\t\t" + agent + "Föö" + tail}, "apps.tsv:2: token"},
		{"nothing that must be there", "apps.tsv", []string{"!Foo/\tline\tFoo\t\t" + agent + "Bar/1" + tail}, "names nothing that must be there"},
		{"example without the token", "apps.tsv", []string{"Foo/\tline\tFoo\t\t" + agent + "Bar/1" + tail}, "apps.tsv:2: another row claims its example"},
		{"shadowed by a row with more tokens", "apps.tsv", []string{"Foo/\tline\tFoo\t\t" + agent + "Foo/1 Bar/2" + tail, "Foo/ & Bar/\tviber\tBar\t\t" + agent + "Foo/1 Bar/2" + tail}, "apps.tsv:2: another row claims its example"},
		{"two rows of one rank for one agent", "apps.tsv", []string{"Bar/\tline\tFoo\t\t" + agent + "Foo/1 Bar/2" + tail, "Foo/\tviber\tBar\t\t" + agent + "Foo/1" + tail}, "apps.tsv:2: another row claims its example"},
		{"an app that is a bot", "apps.tsv", []string{"Foobot\tline\tFoo\t\t" + agent + "Foobot" + tail}, "apps.tsv:2: its example is a bot"},
		{"a bot that is none by its own row", "bots.tsv", []string{"Foo/\t\t" + agent + "Bar/1" + tail}, "bots.tsv:2: its example is no bot by it"},
		{"a person that still is a bot", "people.tsv", []string{"Foobot\tphone\t" + agent + "Foobot Googlebot" + tail}, "people.tsv:2: its example is still a bot"},
		{"a person of two tokens", "people.tsv", []string{"Foo & Bar\tphone\t" + agent + "Foo Bar" + tail}, "people.tsv:2: one token"},
		{"no such side", "previews.tsv", []string{"Foo/\tline\tboth\tFoo/1" + tail}, `previews.tsv:2: side "both"`},
		{"preview of no channel", "previews.tsv", []string{"Foo/\t\tserver\tFoo/1" + tail}, `previews.tsv:2: "" is no channel`},
		{"a rank that is none", "browsers.tsv", []string{"Foo/\tfirst\tFoo\t\t" + agent + "Foo/1" + tail}, `browsers.tsv:2: rank "first"`},
		{"a browser that a lower rank takes", "browsers.tsv", []string{"Bar/\t1\tBar\t\t" + agent + "Bar/1" + tail, "Foo/\t2\tFoo\t\t" + agent + "Foo/1 Bar/1" + tail}, "browsers.tsv:3: another row claims its example"},
		{"no such device", "devices.tsv", []string{"Foo/\t1\tfridge\t" + agent + "Foo/1" + tail}, `devices.tsv:2: device "fridge"`},
		{"system without a name", "systems.tsv", []string{"Foo/\t1\t\t" + agent + "Foo/1" + tail}, "systems.tsv:2: name is empty"},
		{"package in upper case", "packages.tsv", []string{"com.Slack\tmessenger\tslack\tcom.Slack" + tail}, "packages.tsv:2: "},
		{"package without a dot", "packages.tsv", []string{"xmlhttprequest\tmessenger\tslack\tXMLHttpRequest" + tail}, "packages.tsv:2: "},
		{"messenger without a channel", "packages.tsv", []string{"com.foo\tmessenger\t\tcom.foo" + tail}, "packages.tsv:2: a messenger has a channel"},
		{"example of another package", "packages.tsv", []string{"com.foo\tai\t\tcom.bar" + tail}, "packages.tsv:2: its example is another package"},
		{"no such kind", "referrers.tsv", []string{"foo.example\tgossip\t\thttps://foo.example/" + tail}, `referrers.tsv:2: "gossip" is no kind`},
		{"host in upper case", "referrers.tsv", []string{"Foo.example\tsocial\t\thttps://foo.example/" + tail}, "referrers.tsv:2: host"},
		{"host with a port", "referrers.tsv", []string{"foo.example:80\tsocial\t\thttps://foo.example/" + tail}, "referrers.tsv:2: host"},
		{"a whole top level", "referrers.tsv", []string{"com\tsocial\t\thttps://foo.com/" + tail}, "referrers.tsv:2: host"},
		{"a star in the middle", "referrers.tsv", []string{"foo.*.example\tsocial\t\thttps://foo.bar.example/" + tail}, "referrers.tsv:2: host"},
		{"an example that a longer host takes", "referrers.tsv", []string{"a.foo.example\tsocial\t\thttps://a.foo.example/" + tail, "foo.example\tsocial\t\thttps://a.foo.example/" + tail}, "referrers.tsv:3: another row claims its example"},
		{"click id of no use", "clickids.tsv", []string{"foo\tfun\thttps://a.example/?foo=1" + tail}, `clickids.tsv:2: kind "fun"`},
		{"click id that is a campaign field", "clickids.tsv", []string{"utm_id\tpaid\thttps://a.example/?utm_id=1" + tail}, "clickids.tsv:2: utm_"},
		{"click id in upper case", "clickids.tsv", []string{"Foo\tpaid\thttps://a.example/?Foo=1" + tail}, "clickids.tsv:2: "},
		{"click id that its example lacks", "clickids.tsv", []string{"foo\tpaid\thttps://a.example/?bar=1" + tail}, "clickids.tsv:2: its example has another click id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tables := fstest.MapFS{}
			names, err := fs.Glob(Builtin(), "*.tsv")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				raw, err := fs.ReadFile(Builtin(), name)
				if err != nil {
					t.Fatal(err)
				}
				if path.Base(name) == c.file {
					header, _, _ := strings.Cut(string(raw), "\n")
					if c.lines == nil {
						header = "match\tsomething"
					}
					raw = []byte(header + "\n" + strings.Join(c.lines, "\n"))
				}
				tables[name] = &fstest.MapFile{Data: raw}
			}
			_, err = New(Options{Salts: fixed{}, Facts: tables})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestAMissingTableIsNamed(t *testing.T) {
	if _, err := New(Options{Salts: fixed{}, Facts: fstest.MapFS{}}); err == nil || !strings.Contains(err.Error(), "bots.tsv") {
		t.Errorf("got %v", err)
	}
}

// What only looks like a row must match none.
func TestLookAlikesMatchNothing(t *testing.T) {
	f := builtin(t)
	for _, raw := range []string{
		"https://evil-t.co/", "https://t.co.evil.example/", "https://xt.co/", "https://tt.co/",
		"https://facebook.com.evil.example/", "https://notfacebook.com/", "https://face-book.com/", "https://facebook.co/",
		"https://www.reddit.tk/", "https://www.googlelottery.com/", "https://google.evil.example/", "https://google.com.evil.example/",
		"https://duckduckgone.com/", "https://co.google/", "https://amazonia.com/", "https://my-amazon.com/",
		"https://faceboo\u212a.com/", "https://f\u0430cebook.com/", "https://xn--fcebook-2fg.com/", "https://t\uff0eco/",
		"https://evil.example/t.co/", "https://evil.example/?u=https://t.co/", "https://evil.example#t.co", "https://t.co@evil.example/",
		"https://t.co:80@evil.example/", `https://evil.example\t.co/`, "https://whatsapp.com.br.evil.example/", "https://.com/",
		"android-app://com.slackers/", "android-app://com.linkedinteresting.scam/", "android-app://com.whatsapp.evil/", "android-app://evil.com.whatsapp/",
	} {
		s := f.referrer(raw, site0)
		if s.channel != "" || s.kind != "referral" {
			t.Errorf("%s: kind %q, channel %q", raw, s.kind, s.channel)
		}
	}
	for _, raw := range []string{
		"Mozilla/5.0 (Linux; Android 14; Barcelona Phone; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 Online/1.0",
		"Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 Viberation/2",
		"Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36 InstagramFan",
		"Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 MQQBrowser/14.9 Mobile Safari/537.36",
	} {
		if v := f.judge(raw); v.App != "" || v.Bot {
			t.Errorf("%s: app %q, bot %v", raw, v.App, v.Bot)
		}
	}
}
