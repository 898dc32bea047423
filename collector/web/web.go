// Package web takes beacons over HTTP and serves the snippet.
//
// A caller can rely on this: a beacon is answered 204 only after Spool.Append
// has returned without an error (or when a privacy signal asks that nothing be
// kept); a Server's memory has bounds that no client moves (body, header,
// connections, addresses in the rate limit); an answer never says more than the
// contract names; a log line never holds an address, an agent, a token or a URL.
// Shutdown cuts no request that has been read.
//
// Not promised: that a beacon answered 503 was not kept. Where the disk was slow
// its outcome is unknown, and `seq` makes the second sending count once.
//
// The package is the only one that knows Fiber, and it decides nothing about
// what a beacon means: that is intake's. It knows neither ClickHouse nor how the
// spool keeps its promise.
//
// What surprises: Fiber's strings are buffers that the next request reuses, and
// intake gets them as they are. It keeps nothing of a Request (a test holds it
// to that), so that a beacon is copied once, by the one who decodes it.
package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/metrics"
	"github.com/passalong/passalong/collector/site"
)

// Intake says what a beacon is: events, a *hit.Error for the sender, or a fault
// of ours.
type Intake interface {
	Beacon(intake.Request) ([]*event.Event, error)
	Release([]*event.Event) // once they are stored, or will not be
}

// Spool keeps events: Append returns when they are on disk. Whatever it
// returns, it does not look at them afterwards.
type Spool interface {
	Append(context.Context, []*event.Event) error
}

// Options are what a Server is made of. Intake, Spool and Sites must be given;
// everything else has a default that works.
type Options struct {
	Intake Intake
	Spool  Spool
	Sites  site.Set

	// Ready gives "" once beacons are taken, else the reason why not in words
	// for a stranger: /readyz shows it. Default: ready.
	Ready func() string
	// Notice gives what is the matter although beacons are taken, in words for a
	// stranger, or "". Default: nothing is.
	Notice func() string

	Script       Script // empty: its address answers 404
	ScriptPath   string // default /passalong.js
	EndpointPath string // default /e
	Pages        string // folder served under /pages/; default none

	AdminToken     string         // opens /metrics from elsewhere; empty opens nothing
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed; default nobody's (the setting's is loopback)
	Rate           Rate           // default 50 a second, 200 at once

	Metrics *metrics.Metrics
	Logger  *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now

	// Each of these may come a sixteenth late: see share.
	ReadTimeout   time.Duration // from a request's first byte to its last; default 15 s: 64 KiB over a bad mobile network take 4
	WriteTimeout  time.Duration // for an answer; default 15 s
	IdleTimeout   time.Duration // of a connection between two requests; default 15 s
	AppendTimeout time.Duration // after which a beacon is answered 503; default 10 s
	Connections   int           // open at once; default 8192
	PerAddress    int           // of these from one address (IPv6: /64), trusted proxies excepted; default 1024: what the default rate opens in an IdleTimeout
	Addresses     int           // held in the rate limit; default 65536: 1.5 MB, 24 bytes each
}

// Limits of what is read. The body's is the contract's; the header must hold a
// publisher's cookies, which sendBeacon adds when collector and page share a
// domain, and proxies refuse more than 8 to 16 KiB of them.
const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
)

// Server answers HTTP. Make it with New.
type Server struct {
	o          Options
	app        *fiber.App
	conns      *connections
	limiter    *limiter
	trusted    proxies
	seldom     seldom
	patience   *patience
	script     *scriptFile
	pages      *os.Root // nil without Options.Pages
	table      []route
	ids        []string // of the sites, sorted
	adminToken [32]byte // its SHA-256, so that comparing takes the same time for any length
	stopping   atomic.Bool
}

// New checks the options and makes a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Intake == nil || o.Spool == nil || o.Sites == nil {
		return nil, errors.New("web: intake, spool and sites are needed")
	}
	o.defaults()
	s := &Server{
		o: o, trusted: newProxies(o.TrustedProxies),
		limiter:    newLimiter(o.Rate, o.Addresses, o.Now),
		seldom:     seldom{log: o.Logger, now: o.Now},
		patience:   newPatience(o.AppendTimeout),
		script:     newScriptFile(o.Script, o.ScriptPath),
		adminToken: digest(o.AdminToken),
		ids:        slices.Sorted(maps.Keys(o.Sites)),
	}
	if o.Pages != "" {
		root, err := os.OpenRoot(o.Pages)
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		s.pages = root
	}
	s.conns = &connections{
		limit: o.Connections, perAddress: o.PerAddress, trusted: s.trusted, metrics: o.Metrics, seldom: &s.seldom,
		slack: min(o.ReadTimeout, o.WriteTimeout, o.IdleTimeout) / share,
	}
	s.table = s.routes()
	if err := checkRoutes(s.table); err != nil {
		if s.pages != nil {
			_ = s.pages.Close() // nothing was read from it; the first error is the one to tell
		}
		return nil, err
	}
	s.app = s.newApp()
	return s, nil
}

func (o *Options) defaults() {
	if o.Ready == nil {
		o.Ready = func() string { return "" }
	}
	if o.Notice == nil {
		o.Notice = func() string { return "" }
	}
	if o.Metrics == nil {
		o.Metrics = metrics.New(metrics.Options{Sites: slices.Sorted(maps.Keys(o.Sites))})
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Rate = cmp.Or(o.Rate, Rate{PerSecond: 50, Burst: 200})
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 15*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 15*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 15*time.Second)
	o.AppendTimeout = cmp.Or(o.AppendTimeout, 10*time.Second)
	o.Connections = cmp.Or(o.Connections, 8192)
	o.PerAddress = cmp.Or(o.PerAddress, 1024)
	o.Addresses = cmp.Or(o.Addresses, 65536)
	o.ScriptPath = cmp.Or(o.ScriptPath, "/passalong.js")
	o.EndpointPath = cmp.Or(o.EndpointPath, "/e")
}

// newApp is Fiber as we use it.
func (s *Server) newApp() *fiber.App {
	app := fiber.New(fiber.Config{
		DisableStartupMessage:     true,
		StrictRouting:             true,
		CaseSensitive:             true,
		BodyLimit:                 maxBody,
		ReadBufferSize:            maxHeader,
		Concurrency:               s.o.Connections + 1, // ours decides; see connections
		ReadTimeout:               s.o.ReadTimeout,
		WriteTimeout:              s.o.WriteTimeout,
		IdleTimeout:               s.o.IdleTimeout,
		DisableDefaultContentType: true,
		// A multipart body would be parsed, into files, before any handler sees it.
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 s.fault,
	})
	app.Use(s.around)
	for _, r := range s.table {
		for method, handler := range r.methods {
			app.Add(method, r.path, handler)
		}
		app.All(r.path, s.wrongMethod(r))
	}
	app.Use(func(c *fiber.Ctx) error { return s.answer(c, fiber.StatusNotFound, "not found", "") })

	server := app.Server()
	server.ConnState = s.conns.state
	server.CloseOnShutdown = true
	server.Handler = s.knownMethod(app, server.Handler)
	return app
}

// Serve answers on ln until Shutdown, then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	if !s.conns.listen(ln) {
		return ln.Close()
	}
	if err := s.app.Listener(s.conns); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// grace is how long Shutdown waits for the first byte of a connection that was
// just accepted: its request is on the way.
const grace = 200 * time.Millisecond

// Shutdown stops accepting, finishes the requests in hand and closes the
// connections. Every answer from now on asks the client to close. When ctx ends
// first, what is left is cut and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.stopping.Swap(true) {
		return nil
	}
	if err := s.conns.Close(); err != nil {
		return fmt.Errorf("stop listening: %w", err)
	}
	// fasthttp's own way closes idle connections without looking whether a
	// request has just come on them; so it is left nothing but to wait.
	s.conns.drain(ctx, grace)
	err := s.app.ShutdownWithContext(ctx)
	if err != nil {
		s.conns.cut()
		err = fmt.Errorf("finish requests: %w", err)
	}
	if s.pages != nil {
		err = errors.Join(err, s.pages.Close())
	}
	return err
}
