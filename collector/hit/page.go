package hit

import (
	"strings"

	"github.com/passalong/passalong/collector/token"
)

// bare is a page without the token at the end of its fragment, should the
// sender have left it there, and without a '#' that nothing follows then.
func bare(page string) string {
	before, fragment, ok := strings.Cut(page, "#")
	if !ok {
		return page
	}
	rest, t := token.Cut(fragment)
	switch {
	case t == "":
		return page
	case rest == "":
		return before
	}
	return page[:len(before)+1+len(rest)]
}

// host is the host, with its port, of an absolute http or https address.
//
// It is no url.Parse: that refuses addresses browsers are content with
// (https://news.example/100%), and the rest of a page is nobody's business here.
func host(page string) (host, problem string) {
	rest, ok := cutScheme(page, "https://")
	if !ok {
		rest, ok = cutScheme(page, "http://")
	}
	if !ok {
		return "", "not an absolute http or https address"
	}
	for i := range len(rest) {
		if rest[i] <= ' ' || rest[i] == 0x7f {
			return "", "holds a space or a control character"
		}
	}
	host = rest
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		host = rest[:i]
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i+1:]
	}
	switch {
	case strings.Contains(host, "@"):
		return "", "names a user"
	case name == "" || name == ".":
		return "", "has no host"
	case strings.Trim(port, "0123456789") != "" || len(port) > 5:
		return "", "has a port that is no number"
	}
	return host, ""
}

// cutScheme is CutPrefix for a scheme, whose case does not count.
func cutScheme(page, scheme string) (string, bool) {
	if len(page) < len(scheme) || !strings.EqualFold(page[:len(scheme)], scheme) {
		return page, false
	}
	return page[len(scheme):], true
}
