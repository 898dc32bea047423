package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Under load, when the server stops: what was answered 204 is kept, and what is
// kept was answered 204. No request in hand loses its answer.
func TestStopUnderLoadCutsNothing(t *testing.T) {
	r := start(t, func(o *Options) { o.Rate = Rate{PerSecond: 1e6, Burst: 1e6} })
	r.disk.wait = func(context.Context) error { time.Sleep(2 * time.Millisecond); return nil } // a disk takes its time
	var (
		mu       sync.Mutex
		answered = map[string]bool{}
		enough   = make(chan struct{})
		count    atomic.Int32
		readers  sync.WaitGroup
	)
	for i := range 16 {
		readers.Go(func() {
			// Half keep their connection, as proxies do; half open one a beacon.
			transport := &http.Transport{DisableKeepAlives: i%2 == 0}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for n := 0; ; n++ {
				name := fmt.Sprintf("%d-%d", i, n)
				body := strings.Replace(beaconBody(), `"seq":0`, `"seq":0,"title":"`+name+`"`, 1)
				res, err := client.Post(r.url+"/e", "text/plain", struct{ io.Reader }{strings.NewReader(body)}) // no reader that could be sent twice
				if err != nil {
					return // the server is gone
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 204 {
					t.Errorf("%s: %s", name, res.Status)
					return
				}
				mu.Lock()
				answered[name] = true
				mu.Unlock()
				if count.Add(1) == 300 {
					close(enough)
				}
			}
		})
	}
	<-enough
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	kept := map[string]bool{}
	for _, e := range r.disk.kept() {
		kept[e.Title] = true
		if !answered[e.Title] {
			t.Errorf("beacon %s was kept and not answered", e.Title)
		}
	}
	for name := range answered {
		if !kept[name] {
			t.Errorf("beacon %s was answered 204 and not kept", name)
		}
	}
	if len(kept) < 300 {
		t.Errorf("only %d kept", len(kept))
	}
}

// A request in hand is finished, its connection told to close; new ones find no
// one listening; an idle connection does not hold the stop up.
func TestStopWaitsForTheRequestInHand(t *testing.T) {
	r := start(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	r.disk.wait = func(context.Context) error { close(arrived); <-let; return nil }
	idle := r.dialAlive()
	defer func() { _ = idle.Close() }()
	type result struct {
		res *http.Response
		err error
	}
	got := make(chan result, 1)
	go func() {
		res, err := http.Post(r.url+"/e", "text/plain", strings.NewReader(beaconBody()))
		got <- result{res, err}
	}()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- r.Shutdown(context.Background()) }()

	// The idle connection is ended at once.
	_ = idle.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
	if c, err := net.Dial("tcp", r.addr); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request in hand: %v", err)
	default:
	}
	close(let)
	g := <-got
	if g.err != nil {
		t.Fatal(g.err)
	}
	_ = g.res.Body.Close()
	if g.res.StatusCode != 204 || !g.res.Close {
		t.Errorf("%s, close %v", g.res.Status, g.res.Close)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(r.disk.kept()) != 1 {
		t.Errorf("kept %v", r.disk.kept())
	}
}

// What a client has sent when its idle connection is ended is still answered.
func TestStopAnswersWhatIsOnTheWay(t *testing.T) {
	r := start(t)
	c := r.dialAlive()
	defer func() { _ = c.Close() }()
	// The server may see the request before or after the stop: both must answer.
	fmt.Fprintf(c, "POST /e HTTP/1.1\r\nHost: c.example\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(beaconBody()), beaconBody())
	if err := r.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 204 {
		t.Errorf("%s", res.Status)
	}
}

// Browsers open connections ahead and may never use them.
func TestStopDoesNotWaitForSilence(t *testing.T) {
	r := start(t)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for len(r.conns.list()) == 0 {
		time.Sleep(time.Millisecond) // accepting is nobody's signal
	}
	begin := time.Now()
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > r.o.ReadTimeout/2 {
		t.Errorf("took %s", took)
	}
}

func TestStopGivesUpWhenItsTimeIsOver(t *testing.T) {
	r := start(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	r.disk.wait = func(context.Context) error { close(arrived); <-let; return nil }
	var client sync.WaitGroup
	client.Go(func() {
		if res, err := http.Post(r.url+"/e", "text/plain", strings.NewReader(beaconBody())); err == nil {
			_ = res.Body.Close()
		}
	})
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	client.Wait() // its connection was cut
	close(let)
}

func TestStopBeforeServe(t *testing.T) {
	s, err := New(Options{Intake: &door{}, Spool: &disk{}, Sites: sites(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err != nil {
		t.Error(err)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

// While it stops, /readyz says so to a balancer that still asks.
func TestReadyzWhileStopping(t *testing.T) {
	r := start(t)
	arrived, let := make(chan struct{}), make(chan struct{})
	r.disk.wait = func(context.Context) error { close(arrived); <-let; return nil }
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// Two requests on one connection: the second is read after the first.
	fmt.Fprintf(c, "POST /e HTTP/1.1\r\nHost: c.example\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(beaconBody()), beaconBody())
	<-arrived
	r.stopping.Store(true)
	close(let)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 204 {
		t.Fatalf("%v %v", res, err)
	}
	_ = res.Body.Close()
	a := r.send("GET", "/readyz", nil, nil)
	if a.status != 503 || a.body != `{"status":"not ready","reason":"stopping"}` || a.header.Get("Connection") == "keep-alive" {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.stopping.Store(false) // so that the clean-up stops it
}
