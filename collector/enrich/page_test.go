package enrich

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPage(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct{ name, raw, want string }{
		{"nothing to do", "https://news.example/a/b.html", "https://news.example/a/b.html"},
		{"scheme and host in upper case, path as it is", "HTTPS://News.Example/A/B", "https://news.example/A/B"},
		{"no path", "https://news.example", "https://news.example/"},
		{"no path, a query", "https://news.example?id=1", "https://news.example/?id=1"},
		{"default port", "https://news.example:443/a", "https://news.example/a"},
		{"default port of http", "http://news.example:80/a", "http://news.example/a"},
		{"a port of its own", "http://news.example:8080/a", "http://news.example:8080/a"},
		{"https on 80 is no default", "https://news.example:80/a", "https://news.example:80/a"},
		{"a colon and no port", "https://news.example:/a", "https://news.example/a"},
		{"a dot behind the host", "https://news.example./a", "https://news.example/a"},
		{"user name and password", "https://me:secret@news.example/a", "https://news.example/a"},
		{"IPv6", "http://[::1]:80/a", "http://[::1]/a"},
		{"fragment", "https://news.example/a#comments", "https://news.example/a"},
		{"fragment with a question mark", "https://news.example/a#x?utm_source=y", "https://news.example/a"},
		{"campaign only", "https://news.example/a?utm_source=x&utm_medium=email", "https://news.example/a"},
		{"campaign among others, order kept", "https://news.example/a?b=2&utm_source=x&a=1&utm_id=9&c=3", "https://news.example/a?b=2&a=1&c=3"},
		{"names in upper case and encoded", "https://news.example/a?UTM_Source=x&utm%5Fmedium=y&FBCLID=z&id=1", "https://news.example/a?id=1"},
		{"click ids", "https://news.example/a?fbclid=IwAR&id=1&gclid=Cj0", "https://news.example/a?id=1"},
		{"every byte of the rest kept", "https://news.example/a%2Fb/ü?q=a+b%20c%zz&&x=%C3%A9&y", "https://news.example/a%2Fb/ü?q=a+b%20c%zz&&x=%C3%A9&y"},
		{"an empty query", "https://news.example/a?", "https://news.example/a"},
		{"a name that only begins like one", "https://news.example/a?utmost=1&xfbclid=2&my_utm_source=3", "https://news.example/a?utmost=1&xfbclid=2&my_utm_source=3"},
		{"a second question mark", "https://news.example/a?b=?utm_source=x", "https://news.example/a?b=?utm_source=x"},
		{"no address", "mailto:a@news.example", ""},
		{"relative", "/a", ""},
		{"no host", "https:///a", ""},
		{"port of letters", "https://news.example:abc/a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, ok := f.page(c.raw)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("page(%q) = %q, %v, want %q", c.raw, got, ok, c.want)
			}
		})
	}
}

func TestCampaign(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct {
		name, query string
		want        campaign
	}{
		{"all five", "utm_source=news+letter&utm_medium=email&utm_campaign=a%20b&utm_term=t&utm_content=c", campaign{"news letter", "email", "a b", "t", "c", ""}},
		{"the first of two that says something", "utm_source=&utm_source=a&utm_source=b", campaign{source: "a"}},
		{"broken encoding stays", "utm_source=50%", campaign{source: "50%"}},
		{"broken UTF-8 and control characters go", "utm_source=a%FFb%00c%0A", campaign{source: "abc"}},
		{"a click id gives its kind only", "fbclid=IwAR0secret", campaign{clickid: "fbclid"}},
		{"of several the paid one", "fbclid=a&mc_eid=b&gclid=c", campaign{clickid: "gclid"}},
		{"of several unpaid the first", "mc_eid=b&fbclid=a", campaign{clickid: "mc_eid"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got, _ := f.page("https://news.example/?" + c.query); got != c.want {
				t.Errorf("%s: got %+v, want %+v", c.query, got, c.want)
			}
		})
	}
	_, got, _ := f.page("https://news.example/?utm_source=" + strings.Repeat("é", 500))
	if len(got.source) > maxCampaign || strings.Trim(got.source, "é") != "" {
		t.Errorf("a long source is cut to %d bytes: %q", len(got.source), got.source)
	}
}

// A page that was made a page once stays as it is, and says nothing of a campaign.
func TestPageIsStable(t *testing.T) {
	f := builtin(t)
	part := rapid.SampledFrom([]string{"a=1", "utm_source=x", "fbclid=y", "", "&", "?", "#c", "/", "%3F", "UTM_X=1", "b", "gclid"})
	rapid.Check(t, func(t *rapid.T) {
		raw := "https://News.example/p?" + strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "&")
		once, _, ok := f.page(raw)
		if !ok {
			t.Fatalf("%q refused", raw)
		}
		twice, c, _ := f.page(once)
		if twice != once || c != (campaign{}) {
			t.Fatalf("%q → %q → %q, %+v", raw, once, twice, c)
		}
	})
}

func FuzzPage(f *testing.F) {
	tables := builtin(f)
	for _, s := range []string{"https://news.example/a?utm_source=x#c", "http://[::1]:80", "https://a@b:c@d/?%", "HTTPS://\xff/?utm_source=%ff", "https://x\\y?z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		page, c, ok := tables.page(raw)
		if !ok {
			return
		}
		if strings.Contains(page, "#") || len(page) > len(raw)*3+2 {
			t.Errorf("page %q", page)
		}
		if again, c, ok := tables.page(page); !ok || again != page || c != (campaign{}) {
			t.Errorf("%q → %q → %q", raw, page, again)
		}
		for _, s := range []string{c.source, c.medium, c.name, c.term, c.content} {
			if len(s) > maxCampaign || strings.ContainsAny(s, "\x00\n") {
				t.Errorf("campaign %q", s)
			}
		}
	})
}
