package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/metrics"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own: they sleep up to ten seconds before they see the end.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// The sites of all tests.
func sites(t testing.TB) site.Set {
	t.Helper()
	news, err := site.New("news.example")
	if err != nil {
		t.Fatal(err)
	}
	shop, err := site.New("shop.example", "shop.example", "*.shop.example")
	if err != nil {
		t.Fatal(err)
	}
	set, err := site.NewSet(news, shop)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// door is an intake that reads as the real one does and enriches nothing. It
// keeps what it was handed.
type door struct {
	sites site.Set
	mu    sync.Mutex
	last  intake.Request
	fail  error
	panic any
}

func (d *door) Beacon(r intake.Request) ([]*event.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = r
	// The request's buffers are another's when the handler is done.
	d.last.Agent, d.last.Package, d.last.Origin, d.last.Body = strings.Clone(r.Agent), strings.Clone(r.Package), strings.Clone(r.Origin), bytes.Clone(r.Body)
	if d.panic != nil {
		panic(d.panic)
	}
	if d.fail != nil {
		return nil, d.fail
	}
	b, err := hit.Decode(r.Body)
	if err != nil {
		return nil, err
	}
	if err := b.Check(d.sites[b.Site], r.Origin, r.Received); err != nil {
		return nil, err
	}
	var events []*event.Event
	for _, e := range b.Events {
		events = append(events, &event.Event{Site: b.Site, Type: e.Type, View: b.View, Title: b.Title, Bot: strings.Contains(r.Agent, "bot")})
	}
	return events, nil
}

func (d *door) Release([]*event.Event) {} // the disk keeps them

func (d *door) request() intake.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last
}

// disk is a spool that keeps events in memory.
type disk struct {
	mu     sync.Mutex
	events []*event.Event
	fail   error
	wait   func(context.Context) error // before keeping
}

func (d *disk) Append(ctx context.Context, events []*event.Event) error {
	if d.wait != nil {
		if err := d.wait(ctx); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.events = append(d.events, events...)
	return nil
}

func (d *disk) kept() []*event.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[:len(d.events):len(d.events)]
}

// running is a server on a real socket.
type running struct {
	*Server
	t       testing.TB
	url     string
	addr    string
	door    *door
	disk    *disk
	log     *bytes.Buffer
	metrics *metrics.Metrics
	client  *http.Client
	served  chan error
}

func start(t testing.TB, change ...func(*Options)) *running {
	t.Helper()
	set := sites(t)
	r := &running{
		t: t, door: &door{sites: set}, disk: &disk{}, log: &bytes.Buffer{}, served: make(chan error, 1),
		metrics: metrics.New(metrics.Options{Sites: []string{"news.example", "shop.example"}}),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	o := Options{
		Intake: r.door, Spool: r.disk, Sites: set, Metrics: r.metrics,
		Script:     Script{Body: []byte("plain()"), Brotli: []byte("br"), Gzip: []byte("gz"), Hash: "0123abcd"},
		AdminToken: "open sesame", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	for _, f := range change {
		f(&o)
	}
	server, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Server = server
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.url = "http://" + r.addr
	go func() { r.served <- server.Serve(ln) }()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-r.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

// answered is an answer, read whole.
type answered struct {
	status int
	header http.Header
	body   string
}

func (r *running) send(method, path string, header map[string]string, body io.Reader) answered {
	r.t.Helper()
	req, err := http.NewRequest(method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answered{res.StatusCode, res.Header, string(b)}
}

// figure reads one line of /metrics.
func (r *running) figure(name string) string {
	r.t.Helper()
	page := r.send("GET", "/metrics", nil, nil).body
	_, rest, ok := strings.Cut(page, "\n"+name+" ")
	if !ok {
		r.t.Fatalf("%s is not on the page", name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

var goodToken = token.New(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), [6]byte{1, 2, 3, 4, 5, 6})

// beaconBody is a beacon that is taken.
func beaconBody() string {
	return `{"site":"news.example","page":"https://news.example/a","view":"` + goodToken + `","seq":0,"events":[{"type":"view","age":0}]}`
}

func plain(extra ...string) map[string]string {
	h := map[string]string{"Content-Type": "text/plain;charset=UTF-8", "Origin": "https://news.example"}
	for i := 0; i+1 < len(extra); i += 2 {
		if extra[i+1] == "" {
			delete(h, extra[i])
		} else {
			h[extra[i]] = extra[i+1]
		}
	}
	return h
}

// dialAlive opens a connection, has one request answered on it and keeps it.
func (r *running) dialAlive() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: c.example\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		r.t.Fatalf("healthz: %v %v", res, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return c
}
