// Package site holds what is configured of a site: its domains, its privacy
// level and whose days its reports count.
//
// A Site and a Set are read-only once made and safe for any number of readers.
// The package opens nothing and knows no clock; configuration files belong to
// package config.
package site

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Level is a site's privacy level (contract, section 1).
type Level string

const (
	Full    Level = "full"    // trees and sharers
	Strict  Level = "strict"  // cohort tokens that name nobody
	Consent Level = "consent" // nothing before consent
)

// A Site is one `site` of the configuration. Make it with New.
type Site struct {
	ID       string
	Domains  []string // lower case; "*.example.org" means every subdomain
	Privacy  Level
	Quotes   bool           // copied passages may be kept
	Location *time.Location // whose days the reports count
	Currency string         // ISO 4217; what `revenue` sums
}

// New makes a site with the contract's defaults. Without domains, the id is
// the only domain.
func New(id string, domains ...string) (*Site, error) {
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fmt.Errorf("site %q: an id has 1 to 64 characters and no spaces", id)
	}
	s := &Site{ID: id, Privacy: Full, Location: time.UTC, Currency: "EUR"}
	if len(domains) == 0 {
		domains = []string{id}
	}
	for _, d := range domains {
		d = Host(d)
		if d == "" || strings.ContainsAny(d, "/@ ,?#") || strings.Contains(strings.TrimPrefix(d, "*."), "*") || strings.HasPrefix(d, ".") {
			return nil, fmt.Errorf("site %s: domain %q is no host name", id, d)
		}
		if i := strings.IndexFunc(d, func(r rune) bool { return r >= 0x80 }); i >= 0 {
			// A browser sends it so: it would never match.
			return nil, fmt.Errorf("site %s: domain %q: write it in ASCII, as xn--…", id, d)
		}
		s.Domains = append(s.Domains, d)
	}
	return s, nil
}

// Owns reports whether host is one of the site's domains. Hosts are compared
// in lower case, without port and trailing dot; "*.d" means the subdomains of d.
func (s *Site) Owns(host string) bool {
	host = Host(host)
	if host == "" {
		return false
	}
	for _, d := range s.Domains {
		if d == host {
			return true
		}
		if rest, ok := strings.CutPrefix(d, "*"); ok && len(host) > len(rest) && strings.HasSuffix(host, rest) {
			return true
		}
	}
	return false
}

// Host is a host name in the form in which hosts are compared: lower case,
// without port, brackets and trailing dot.
func Host(h string) string {
	if plain(h) {
		return h
	}
	h = strings.ToLower(h)
	if u := (&url.URL{Host: h}); u.Hostname() != "" {
		h = u.Hostname()
	}
	return strings.TrimSuffix(h, ".")
}

// plain reports whether h is in the form that Host makes, as nearly all are.
func plain(h string) bool {
	for i := range len(h) {
		if c := h[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return h != "" && h[len(h)-1] != '.'
}

// Day is the site's day of t, in days since 1970-01-01.
func (s *Site) Day(t time.Time) int32 {
	_, offset := t.In(s.Location).Zone()
	local := t.Unix() + int64(offset)
	day := local / 86400
	if local%86400 < 0 {
		day--
	}
	return int32(day)
}

// A Set is the configured sites by id.
type Set map[string]*Site

// NewSet makes a set; an id may stand only once.
func NewSet(sites ...*Site) (Set, error) {
	set := make(Set, len(sites))
	for _, s := range sites {
		if set[s.ID] != nil {
			return nil, fmt.Errorf("site %s: configured twice", s.ID)
		}
		set[s.ID] = s
	}
	return set, nil
}
