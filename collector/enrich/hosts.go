package enrich

import (
	"fmt"
	"strings"

	"github.com/passalong/passalong/collector/site"
)

// hosts finds the row of a host. A row `t.co` is for t.co and everything below
// it, never for evil-t.co or t.co.evil.example: a suffix counts from a dot. The
// longest suffix wins. A row `google.*` is for google.com, google.fr,
// google.co.uk and everything below them: one label of any country, `com`, or
// `co` and `com` before a country. A row `webmail.*.*` is for every host whose
// first label is that one: programs that people run under a name of their own.
// The order is suffix, first label, any country.
type hosts struct {
	suffix map[string]*place
	first  map[string]*place // the label that a dot and a star follow twice
	anyTLD map[string]*place // the label before the star
}

func newHosts() hosts {
	return hosts{suffix: map[string]*place{}, first: map[string]*place{}, anyTLD: map[string]*place{}}
}

func (h *hosts) add(spec string, p *place) error {
	if spec != site.Host(spec) {
		return fmt.Errorf("host %q is not in its plain form (lower case, no port, no dot at the end)", spec)
	}
	name, first := strings.CutSuffix(spec, ".*.*")
	name, star := strings.CutSuffix(name, ".*")
	for _, label := range strings.Split(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("host %q: %q is no label", spec, label)
		}
	}
	switch {
	case (star || first) && strings.Contains(name, "."):
		return fmt.Errorf("host %q: a star stands behind one label", spec)
	case first:
		h.first[name] = p
	case star:
		h.anyTLD[name] = p
	case !strings.Contains(name, "."):
		return fmt.Errorf("host %q has no dot", spec)
	default:
		h.suffix[spec] = p
	}
	return nil
}

// find takes a host as site.Host makes it.
func (h *hosts) find(host string) *place {
	if len(host) > 253 { // the longest name there is: RFC 1035, section 2.3.4
		return nil
	}
	for rest := host; ; {
		if p := h.suffix[rest]; p != nil {
			return p
		}
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	if label, _, ok := strings.Cut(host, "."); ok && h.first[label] != nil {
		return h.first[label]
	}
	return h.anyTLD[registered(host)]
}

// each visits every row.
func (h *hosts) each(visit func(*place)) {
	for _, m := range []map[string]*place{h.suffix, h.first, h.anyTLD} {
		for _, p := range m {
			visit(p)
		}
	}
}

// registered is the label before a public ending of the forms x, co.xx and
// com.xx, empty when there is none. It is no public suffix list: it only has to
// be right for the names that rows put a star behind.
func registered(host string) string {
	head, tld, ok := cutLast(host)
	if !ok || tld != "com" && len(tld) != 2 {
		return ""
	}
	if before, second, ok := cutLast(head); ok && len(tld) == 2 && (second == "co" || second == "com") {
		head = before
	} else if second == "co" || second == "com" {
		return "" // co.xx itself
	}
	if i := strings.LastIndexByte(head, '.'); i >= 0 {
		head = head[i+1:]
	}
	return head
}

func cutLast(s string) (before, last string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// packageKey is an Android package in the form in which packages are compared:
// lower case, because com.Slack also arrives as com.slack. False when it is
// none. XMLHttpRequest, which a page's own library puts into the same header,
// has no dot and is none.
func packageKey(p string) (string, bool) {
	if len(p) < 3 || len(p) > 255 || !strings.Contains(p, ".") || !letter(p[0]) {
		return "", false
	}
	for i := range len(p) {
		if c := p[i]; !alnum(c) && c != '.' && c != '_' {
			return "", false
		}
	}
	return strings.ToLower(p), true
}
