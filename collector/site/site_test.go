package site

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestNewHasTheContractsDefaults(t *testing.T) {
	s, err := New("news.example")
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != "news.example" || s.Privacy != Full || s.Quotes || s.Location != time.UTC || s.Currency != "EUR" ||
		!slices.Equal(s.Domains, []string{"news.example"}) {
		t.Errorf("site %+v", s)
	}
}

func TestNewRefusesWhatCouldNeverMatch(t *testing.T) {
	for _, c := range []struct {
		name, id string
		domains  []string
		problem  string
	}{
		{"no id", "", []string{"news.example"}, "1 to 64 characters"},
		{"an id with a space", "my news", nil, "no spaces"},
		{"a long id", strings.Repeat("x", 65), nil, "1 to 64 characters"},
		{"an address as domain", "n", []string{"https://news.example/"}, "no host name"},
		{"a path behind the domain", "n", []string{"news.example/a"}, "no host name"},
		{"two domains in one", "n", []string{"news.example,shop.example"}, "no host name"},
		{"an empty domain", "n", []string{"news.example", ""}, "no host name"},
		{"a star alone", "n", []string{"*"}, "no host name"},
		{"a star and nothing", "n", []string{"*."}, "no host name"},
		{"a star in the middle", "n", []string{"www.*.example"}, "no host name"},
		{"two stars", "n", []string{"*.*.example"}, "no host name"},
		{"a dot before it", "n", []string{".news.example"}, "no host name"},
		{"letters beyond ASCII", "n", []string{"bücher.example"}, "xn--"},
	} {
		if _, err := New(c.id, c.domains...); err == nil || !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.problem)
		}
	}
}

func TestOwns(t *testing.T) {
	s, err := New("news", "News.Example.", "*.news.example", "xn--bcher-kva.example", "localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{
		"news.example": true, "NEWS.example": true, "news.example:8443": true, "news.example.": true, "news.example.:80": true,
		"www.news.example": true, "a.b.news.example": true, "xn--bcher-kva.example": true, "localhost": true, "localhost:99": true,
		"":  false,
		".": false, ".news.example": false,
		"evilnews.example": false, "news.example.evil.example": false, "example": false, "news.exampl": false,
		"www.xn--bcher-kva.example": false, "news.example@evil.example": false, "null": false,
	} {
		if got := s.Owns(host); got != want {
			t.Errorf("owns %q: %v, want %v", host, got, want)
		}
	}
	only, err := New("sub", "*.news.example")
	if err != nil {
		t.Fatal(err)
	}
	if only.Owns("news.example") {
		t.Error("a star means the subdomains, not the domain itself")
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"News.Example:443": "news.example", "news.example.": "news.example", "[::1]:80": "::1", "[2001:DB8::1]": "2001:db8::1", "": "",
		"203.0.113.7:80": "203.0.113.7",
	} {
		if got := Host(in); got != want {
			t.Errorf("Host(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDayIsTheSites(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		location *time.Location
		at, want string
	}{
		{"UTC before midnight", time.UTC, "2026-10-01T23:59:59Z", "2026-10-01"},
		{"Paris in summer is two hours on", paris, "2026-10-01T22:00:00Z", "2026-10-02"},
		{"and a second before it is not", paris, "2026-10-01T21:59:59Z", "2026-10-01"},
		{"Paris in winter is one hour on", paris, "2026-12-01T22:59:59Z", "2026-12-01"},
		{"before 1970", time.UTC, "1969-12-31T12:00:00Z", "1969-12-31"},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		s := &Site{Location: c.location}
		if got := time.Unix(int64(s.Day(at))*86400, 0).UTC().Format(time.DateOnly); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSetHoldsASiteOnce(t *testing.T) {
	a, b := &Site{ID: "a"}, &Site{ID: "b"}
	set, err := NewSet(a, b)
	if err != nil || set["a"] != a || set["b"] != b || set["c"] != nil {
		t.Errorf("set %v, error %v", set, err)
	}
	if _, err := NewSet(a, b, a); err == nil || err.Error() != "site a: configured twice" {
		t.Errorf("error %v", err)
	}
}

// Day says what the calendar says, in zones with summer time, with quarters of
// an hour, and with a day that never was (Samoa, 2011-12-30).
func TestDayIsTheCalendars(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe"} {
		location, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &Site{Location: location}
		for at := time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2040; at = at.Add(7*time.Hour + 13*time.Minute) {
			y, m, d := at.In(location).Date()
			if got, want := s.Day(at), int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()/86400); got != want {
				t.Fatalf("%s in %s: day %d, want %d", at, name, got, want)
			}
		}
	}
}
