package web

import (
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/valyala/fasthttp"
)

// A route is an address and what it does by method. GET also answers HEAD; any
// method that is not named is a 405 with Allow.
type route struct {
	path    string
	methods map[string]fiber.Handler
}

// routes is every address there is. /s/{token}, POST /s, /api and the dashboard
// get their lines here.
func (s *Server) routes() []route {
	table := []route{
		{s.o.EndpointPath, map[string]fiber.Handler{"POST": s.beacon, "OPTIONS": s.preflight}},
		{"/", get(s.home)},
		{"/healthz", get(s.healthz)},
		{"/readyz", get(s.readyz)},
		{"/metrics", get(s.metricsAccess(adaptor.HTTPHandler(s.o.Metrics.Handler())))},
	}
	if s.script != nil {
		table = append(table,
			route{s.script.path, get(s.script.serve)},
			route{s.script.hashedPath, get(s.script.serveHashed)})
	}
	if s.pages != nil {
		table = append(table,
			route{"/pages", get(func(c *fiber.Ctx) error { return c.Redirect("/pages/", fiber.StatusMovedPermanently) })},
			route{"/pages/*", get(s.page)})
	}
	return table
}

func get(h fiber.Handler) map[string]fiber.Handler {
	return map[string]fiber.Handler{"GET": h, "HEAD": h}
}

// checkRoutes refuses configured paths that Fiber would read as patterns or
// that hide another address.
func checkRoutes(table []route) error {
	seen := map[string]bool{"/s": true, "/api": true} // taken by later addresses of the contract
	for _, r := range table {
		p := r.path
		switch {
		case !strings.HasPrefix(p, "/") || strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`?#%:+\`, c) }),
			strings.Contains(p, "*") && p != "/pages/*":
			return fmt.Errorf("path %q: begin with / and use letters, digits and . - _ /", p)
		case seen[p], strings.HasPrefix(p, "/s/"), strings.HasPrefix(p, "/api/"), strings.HasPrefix(p, "/pages/") && p != "/pages/*":
			return fmt.Errorf("path %q: taken by another address of the collector", p)
		}
		seen[p] = true
	}
	return nil
}

// around stands before every handler: it sets the headers that all answers
// share, turns a panic into a 500, and asks the client to close while we stop.
func (s *Server) around(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Metrics.Panic()
			s.o.Logger.Error("request panicked", "panic", harmless(p), "stack", string(debug.Stack()))
			c.Response().Reset()
			s.common(c)
			if c.Path() == s.o.EndpointPath {
				s.o.Metrics.Beacon(fiber.StatusInternalServerError)
			}
			err = s.answer(c, fiber.StatusInternalServerError, "internal error", "")
		}
	}()
	s.common(c)
	err = c.Next()
	if s.stopping.Load() {
		c.Context().SetConnectionClose()
	}
	return err
}

// harmless is what may be logged of a panic. The runtime's own words hold no
// input; any other value could, so only its type is told.
func harmless(p any) string {
	if e, ok := p.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", p)
}

// A line of a header that is the same in many answers. Its name is in the form
// that HTTP/1.1 is used to, which fasthttp need then not bring about.
type line struct{ name, value []byte }

func header(name, value string) line { return line{[]byte(name), []byte(value)} }

func (l line) set(h *fasthttp.ResponseHeader) { h.SetCanonical(l.name, l.value) }

var everywhere = []line{
	header("X-Content-Type-Options", "nosniff"),
	header("X-Frame-Options", "DENY"),
	header("Referrer-Policy", "no-referrer"),
	header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
	header("Cache-Control", "no-store"),
}

// common sets what every answer has. Handlers that serve a page replace the
// policy with their own.
func (s *Server) common(c *fiber.Ctx) {
	for _, l := range everywhere {
		l.set(&c.Response().Header)
	}
}

// answer sends the form that all refusals have.
func (s *Server) answer(c *fiber.Ctx, status int, problem, field string) error {
	body := refusal(problem, field)
	c.Status(status).Set("Content-Type", "application/json")
	return c.Send(body)
}

// wrongMethod answers 405 with what the address does take.
func (s *Server) wrongMethod(r route) fiber.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(r.methods)), ", ")
	return func(c *fiber.Ctx) error {
		c.Set("Allow", allow)
		if r.path == s.o.EndpointPath {
			return s.refuse(c, "", fiber.StatusMethodNotAllowed, "send beacons with POST", "")
		}
		return s.answer(c, fiber.StatusMethodNotAllowed, "method not allowed", "")
	}
}

// knownMethod sends a request whose method Fiber does not know (it would answer
// 400 in its own words) through the routes as PATCH, which none of them takes.
func (s *Server) knownMethod(app *fiber.App, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	known := app.Config().RequestMethods
	return func(rc *fasthttp.RequestCtx) {
		if !slices.Contains(known, string(rc.Method())) {
			rc.Request.Header.SetMethod(fiber.MethodPatch)
		}
		next(rc)
	}
}

// fault answers what fails outside a handler: a request that is too large, too
// slow or no HTTP. The texts are ours, since fasthttp's quote the request.
func (s *Server) fault(c *fiber.Ctx, err error) error {
	s.common(c)
	status, problem := fiber.StatusBadRequest, "no HTTP request"
	if e, ok := err.(*fiber.Error); ok { //nolint:errorlint // Fiber hands over its own errors unwrapped
		switch e.Code {
		case fiber.StatusRequestEntityTooLarge:
			status, problem = e.Code, "body over 64 KiB"
		case fiber.StatusRequestHeaderFieldsTooLarge:
			status, problem = e.Code, "header over 16 KiB"
		case fiber.StatusRequestTimeout:
			status, problem = e.Code, "request took too long"
		}
	} else {
		// A handler of ours returned an error, which none should.
		status, problem = fiber.StatusInternalServerError, "internal error"
		s.seldom.error("request failed", err)
	}
	s.conns.linger(c.Context().Conn())
	// Of a chunked body that is too large fasthttp forgets the header; only the
	// endpoint takes bodies.
	if c.Path() == s.o.EndpointPath || status == fiber.StatusRequestEntityTooLarge {
		return s.refuse(c, "", status, problem, "")
	}
	return s.answer(c, status, problem, "")
}
