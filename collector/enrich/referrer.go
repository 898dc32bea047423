package enrich

import (
	"strings"

	"github.com/passalong/passalong/collector/site"
)

// A source is where a reader came from.
type source struct {
	referrer string // without query and fragment; empty when there is none
	kind     string // see the README of facts
	channel  string
}

const androidApp = "android-app://"

// referrer reads document.referrer. What is no web address and no Android
// package counts as none.
func (f *facts) referrer(raw string, s *site.Site) source {
	if raw == "" {
		return source{}
	}
	if len(raw) > len(androidApp) && strings.EqualFold(raw[:len(androidApp)], androidApp) {
		name, _, _ := strings.Cut(raw[len(androidApp):], "/")
		key, ok := packageKey(strings.TrimSuffix(name, "."))
		if !ok {
			return source{}
		}
		return cameFrom(androidApp+key+"/", f.packages[key])
	}
	a, ok := splitAddress(raw)
	if !ok {
		return source{}
	}
	normal := raw
	if path, _, asked := strings.Cut(a.rest, "?"); asked || !a.plain {
		normal = a.join(path, "")
	}
	// Browsers send names outside ASCII as xn--…: a host that has others is
	// made up, and what only looks like one of ours must match nothing. (The
	// Kelvin sign even is a k, once in lower case.)
	if !a.ascii {
		return source{referrer: normal, kind: "referral"}
	}
	if s.Owns(a.host) {
		return source{referrer: normal, kind: "internal"}
	}
	return cameFrom(normal, f.hosts.find(a.host))
}

func cameFrom(normal string, p *place) source {
	if p == nil {
		return source{referrer: normal, kind: "referral"}
	}
	return source{referrer: normal, kind: p.kind, channel: p.channel}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
