package enrich

import (
	"net/url"
	"strings"

	"github.com/passalong/passalong/collector/site"
)

// A campaign is what a page's query says of how the reader came.
type campaign struct {
	source, medium, name, term, content string
	clickid                             string // the kind of the click id, never its value
}

// maxCampaign is the most of a campaign field that is kept, in bytes. GA4 cuts
// its own at 100 characters; this leaves room for any alphabet.
const maxCampaign = 400

// page turns an address into the form in which pages are counted (contract,
// section 8): scheme and host in lower case, no default port, no fragment, no
// user name, no utm_ and no click-id parameter. What is left of the query keeps
// its order and every byte. False when it is no absolute http or https address.
func (f *facts) page(raw string) (string, campaign, bool) {
	a, ok := splitAddress(raw)
	if !ok {
		return "", campaign{}, false
	}
	path, query, asked := strings.Cut(a.rest, "?")
	var c campaign
	if !asked && a.plain {
		return raw, c, true
	}
	if asked {
		query = f.strip(query, &c)
	}
	return a.join(path, query), c, true
}

// strip takes the campaign out of a query and returns what is left of it.
func (f *facts) strip(query string, c *campaign) string {
	first, paid := "", ""
	kept := make([]byte, 0, len(query))
	for rest, more := query, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		name = strings.ToLower(unescape(name))
		id, click := f.clickids[name]
		switch {
		case click:
			if first == "" {
				first = name
			}
			if paid == "" && id.use == "paid" {
				paid = name
			}
		case strings.HasPrefix(name, "utm_"):
			c.take(name, value)
		default:
			// The separator is kept where something stands before it.
			if len(kept) > 0 {
				kept = append(kept, '&')
			}
			kept = append(kept, pair...)
		}
	}
	// Of several click ids the paid one says how this reader came; others may
	// be left from an address that was copied on.
	if c.clickid = paid; paid == "" {
		c.clickid = first
	}
	return string(kept)
}

func (c *campaign) take(name, value string) {
	var to *string
	switch name {
	case "utm_source":
		to = &c.source
	case "utm_medium":
		to = &c.medium
	case "utm_campaign":
		to = &c.name
	case "utm_term":
		to = &c.term
	case "utm_content":
		to = &c.content
	default:
		return // utm_id and the like are dropped from the page and kept nowhere
	}
	if *to == "" {
		*to = plain(unescape(value), maxCampaign)
	}
}

// unescape decodes a part of a query; what is not encoded as it should be
// stays as it is.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// plain is a text without control characters and broken UTF-8, cut between two
// characters.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if s = strings.TrimSpace(s); len(s) <= most {
		return s
	}
	s = s[:most]
	for len(s) > 0 && s[len(s)-1]&0xc0 == 0x80 {
		s = s[:len(s)-1]
	}
	if len(s) > 0 && s[len(s)-1] >= 0xc0 {
		s = s[:len(s)-1]
	}
	return s
}

// An address is an http or https URL in its parts. net/url is not used because
// it would encode path and query anew.
type address struct {
	scheme string
	host   string // as site.Host makes it, brackets kept
	port   string // with its colon; empty when it is the scheme's own
	rest   string // from the first slash or question mark; no fragment
	ascii  bool   // the host was written in ASCII
	plain  bool   // up to its query, it is written in the form of join
}

func splitAddress(raw string) (address, bool) {
	var a address
	var after string
	switch {
	case len(raw) >= 8 && strings.EqualFold(raw[:8], "https://"):
		a.scheme, after = "https", raw[8:]
	case len(raw) >= 7 && strings.EqualFold(raw[:7], "http://"):
		a.scheme, after = "http", raw[7:]
	default:
		return a, false
	}
	after, _, _ = strings.Cut(after, "#")
	authority := after
	// Browsers read a backslash here as a slash (WHATWG URL, "special authority").
	for i := range len(after) {
		if c := after[i]; c == '/' || c == '?' || c == '\\' {
			authority, a.rest = after[:i], after[i:]
			break
		}
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		a.port, authority = authority[i:], authority[:i]
		if strings.Trim(a.port[1:], "0123456789") != "" {
			return a, false
		}
		if a.port == ":" || a.port == ":443" && a.scheme == "https" || a.port == ":80" && a.scheme == "http" {
			a.port = ""
		}
	}
	if plainHost(authority) {
		a.host, a.ascii = authority, true
		// Nothing but scheme, host and path, so that nothing was cut out between.
		a.plain = strings.HasPrefix(a.rest, "/") && len(raw) == len(a.scheme)+3+len(a.host)+len(a.rest) && raw[:len(a.scheme)] == a.scheme
		return a, true
	}
	if bracketed := strings.HasPrefix(authority, "["); bracketed != strings.HasSuffix(authority, "]") || !bracketed && strings.Contains(authority, ":") {
		return a, false
	}
	a.ascii = ascii(authority)
	if a.host = strings.TrimSuffix(lowerHost(authority), "."); a.host == "" || strings.ContainsAny(a.host, " \t\r\n\x00") {
		return a, false
	}
	return a, true
}

// plainHost reports whether a host is as site.Host makes it, which most are.
func plainHost(h string) bool {
	for i := range len(h) {
		if c := h[i]; !('a' <= c && c <= 'z' || digit(c) || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return h != "" && h[len(h)-1] != '.'
}

// lowerHost is site.Host for a host that has no port, and leaves brackets.
func lowerHost(h string) string {
	if strings.HasPrefix(h, "[") {
		return strings.ToLower(h)
	}
	return site.Host(h)
}

func (a address) join(path, query string) string {
	if path == "" {
		path = "/"
	}
	var b strings.Builder
	b.Grow(len(a.scheme) + 3 + len(a.host) + len(a.port) + len(path) + 1 + len(query))
	b.WriteString(a.scheme)
	b.WriteString("://")
	b.WriteString(a.host)
	b.WriteString(a.port)
	b.WriteString(path)
	if query != "" {
		b.WriteByte('?')
		b.WriteString(query)
	}
	return b.String()
}
