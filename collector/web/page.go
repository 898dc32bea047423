package web

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"
)

//go:embed home.html
var homePage []byte

// homePolicy lets the page's own style in, by its hash, and nothing else.
var homePolicy = func() string {
	_, rest, _ := strings.Cut(string(homePage), "<style>")
	style, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// home says what this is. The dashboard takes its place.
func (s *Server) home(c *fiber.Ctx) error {
	c.Set("Content-Type", "text/html; charset=utf-8")
	c.Set("Content-Security-Policy", homePolicy)
	return c.Send(homePage)
}

// largestPage is what a file of Options.Pages may have: they are read whole.
const largestPage = 16 << 20

// kinds are the content types of Options.Pages. The system's table is not
// asked: it differs from machine to machine.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".txt": "text/plain; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".woff2": "font/woff2",
}

// page serves a file of Options.Pages, to try Passalong without a site of one's
// own. An os.Root keeps `..` and links out of the folder from leading anywhere.
func (s *Server) page(c *fiber.Ctx) error {
	name := path.Clean("/" + c.Params("*"))[1:]
	if name == "" || strings.HasSuffix(c.Params("*"), "/") {
		name = path.Join(name, "index.html")
	}
	// No escapes: the pages to try have plain names, and what is escaped has
	// more than one meaning. Names that begin with a dot are nobody's business.
	if strings.ContainsAny(name, "%\\\x00") || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") {
		return s.answer(c, fiber.StatusNotFound, "not found", "")
	}
	body, err := s.readPage(name)
	switch {
	case errors.Is(err, errDirectory):
		return c.Redirect("/pages/"+name+"/", fiber.StatusFound)
	case err != nil:
		// Missing, unreadable or outside: all the same to who asks.
		return s.answer(c, fiber.StatusNotFound, "not found", "")
	}
	kind := kinds[strings.ToLower(path.Ext(name))]
	if kind == "" {
		kind = "application/octet-stream"
	}
	h := &c.Response().Header
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-cache")
	// These are pages of a publisher: they run scripts and send referrers.
	h.Del("Content-Security-Policy")
	h.Del("Referrer-Policy")
	h.Del("X-Frame-Options")
	return c.Send(body)
}

var (
	errDirectory = errors.New("a directory")
	errTooLarge  = errors.New("a file over 16 MiB")
)

func (s *Server) readPage(name string) (body []byte, err error) {
	f, err := s.pages.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	stat, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case stat.IsDir():
		return nil, errDirectory
	case !stat.Mode().IsRegular():
		return nil, fs.ErrNotExist // a pipe would be waited for
	case stat.Size() > largestPage:
		return nil, errTooLarge
	}
	return io.ReadAll(io.LimitReader(f, largestPage))
}
