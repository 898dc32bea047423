package web

import (
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// Script is the snippet as it is served; package snippet makes it.
type Script struct {
	Body, Brotli, Gzip []byte // a missing compressed form is not offered
	Hash               string // names the content
}

// Both names are public. The fixed one is asked for again after an hour, and
// for a day an old copy may run while that happens: an update of the collector
// reaches every page within a day. The hashed one never changes.
const (
	cacheFixed  = "public, max-age=3600, stale-while-revalidate=86400"
	cacheHashed = "public, max-age=31536000, immutable"
)

// scriptFile serves a Script under its two names.
type scriptFile struct {
	Script
	path, hashedPath string
	etag             string // weak: it stands for every form
}

// newScriptFile returns nil for an empty script.
func newScriptFile(s Script, at string) *scriptFile {
	if len(s.Body) == 0 {
		return nil
	}
	return &scriptFile{Script: s, path: at, hashedPath: hashedPath(at, s.Hash), etag: `W/"` + s.Hash + `"`}
}

// hashedPath puts a hash before the extension: /passalong.HASH.js.
func hashedPath(at, hash string) string {
	ext := path.Ext(at)
	return strings.TrimSuffix(at, ext) + "." + hash + ext
}

// ScriptPath is the address of the snippet that never changes its content, for
// a script tag with `integrity`; "" without a snippet.
func (s *Server) ScriptPath() string {
	if s.script == nil {
		return ""
	}
	return s.script.hashedPath
}

func (f *scriptFile) serve(c *fiber.Ctx) error       { return f.send(c, cacheFixed) }
func (f *scriptFile) serveHashed(c *fiber.Ctx) error { return f.send(c, cacheHashed) }

func (f *scriptFile) send(c *fiber.Ctx, cache string) error {
	h := &c.Response().Header
	h.Set("Cache-Control", cache)
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	// Any page may run it, and one with `integrity` must be allowed to read it.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	// It is no document: these would only be weight on every page view.
	h.Del("Content-Security-Policy")
	h.Del("X-Frame-Options")
	h.Del("Referrer-Policy")
	if matches(c.Get("If-None-Match"), f.etag) {
		c.Status(fiber.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	switch offered := accepted(c.Get("Accept-Encoding")); {
	case offered("br") && len(f.Brotli) > 0:
		h.Set("Content-Encoding", "br")
		return c.Send(f.Brotli)
	case offered("gzip") && len(f.Gzip) > 0:
		h.Set("Content-Encoding", "gzip")
		return c.Send(f.Gzip)
	}
	return c.Send(f.Body)
}

// matches compares weakly, as If-None-Match asks (RFC 9110, section 13.1.2).
func matches(header, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}

// accepted tells which codings an Accept-Encoding takes. Weights above zero are
// not compared: the smallest form is best for every reader who can take it.
func accepted(header string) func(coding string) bool {
	said := map[string]bool{}
	for one := range strings.SplitSeq(header, ",") {
		coding, parameters, _ := strings.Cut(one, ";")
		name, weight, _ := strings.Cut(parameters, "=")
		refused := strings.EqualFold(strings.TrimSpace(name), "q") && strings.Trim(strings.TrimSpace(weight), "0.") == ""
		said[strings.ToLower(strings.TrimSpace(coding))] = !refused
	}
	return func(coding string) bool {
		if take, ok := said[coding]; ok {
			return take
		}
		return said["*"]
	}
}
