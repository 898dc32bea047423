package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
)

var (
	vary        = header("Vary", "Origin")
	crossOrigin = header("Cross-Origin-Resource-Policy", "cross-origin")
	allowOrigin = []byte("Access-Control-Allow-Origin")
)

// cors lets a page of the site read the answer. site is the one the beacon
// names; "" when it was not read (too large, over the limit, no JSON), and then
// an origin of any configured site will do, since such an answer says nothing
// of a site. Credentials are never allowed, so a cookie is of no use here.
func (s *Server) cors(c *fiber.Ctx, site string) {
	h := &c.Response().Header
	vary.set(h)
	// A page under Cross-Origin-Embedder-Policy may send beacons too.
	crossOrigin.set(h)
	origin := c.Request().Header.Peek("Origin")
	if s.allowed(utils.UnsafeString(origin), site) {
		h.SetCanonical(allowOrigin, origin)
	}
}

// preflight answers OPTIONS. The snippet needs none (text/plain is a simple
// request); a page that sends application/json itself does.
func (s *Server) preflight(c *fiber.Ctx) error {
	s.cors(c, "")
	c.Set("Allow", "OPTIONS, POST")
	if len(c.Response().Header.Peek("Access-Control-Allow-Origin")) > 0 {
		c.Set("Access-Control-Allow-Methods", "POST")
		c.Set("Access-Control-Allow-Headers", "Content-Type")
		c.Set("Access-Control-Max-Age", "86400")
	}
	c.Status(fiber.StatusNoContent)
	return nil
}

// allowed reports whether an Origin belongs to the site.
func (s *Server) allowed(origin, site string) bool {
	host := originHost(origin)
	if host == "" {
		return false
	}
	if site != "" {
		one := s.o.Sites[site]
		return one != nil && one.Owns(host)
	}
	return s.owner(host) != ""
}

// siteOfOrigin is the site whose page sends this request, as far as its Origin
// tells; "" when it does not. Of several, the first by id.
func (s *Server) siteOfOrigin(c *fiber.Ctx) string { return s.owner(originHost(c.Get("Origin"))) }

func (s *Server) owner(host string) string {
	if host == "" {
		return ""
	}
	for _, id := range s.ids {
		if s.o.Sites[id].Owns(host) {
			return id
		}
	}
	return ""
}

// originHost is the host of an Origin as browsers send it: scheme, host and
// port and nothing else. "" for `null` and for what is no such thing.
func originHost(origin string) string {
	// Nearly all are a name and nothing else, and cost no url.URL.
	if host, ok := strings.CutPrefix(origin, "https://"); ok && host != "" && plainName(host) {
		return host
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.Host
}

func plainName(host string) bool {
	for i := range len(host) {
		if c := host[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return true
}
