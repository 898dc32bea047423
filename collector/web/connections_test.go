package web

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// A connection on which nothing comes is closed as a slow request is.
func TestSilentConnectionIsClosed(t *testing.T) {
	r := start(t, func(o *Options) { o.ReadTimeout = 100 * time.Millisecond; o.IdleTimeout = 100 * time.Millisecond })
	silent, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"from the start": silent, "after a request": r.dialAlive()} {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Errorf("%s: open after 5 s", name)
		}
		_ = c.Close()
	}
}

// short is a listener that has run out of descriptors a few times.
type short struct {
	net.Listener
	left int
}

func (s *short) Accept() (net.Conn, error) {
	if s.left--; s.left >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

// A moment without free descriptors does not end the server.
func TestServerOutlivesAShortageOfDescriptors(t *testing.T) {
	s, err := New(Options{Intake: &door{}, Spool: &disk{}, Sites: sites(t), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(&short{ln, 3}) }()
	res, err := http.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A connection over the limit is told so; one that closes makes room.
func TestConnectionsAreLimited(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
	}{
		{"in all", func(o *Options) { o.Connections = 3 }},
		{"per address", func(o *Options) { o.PerAddress = 3; o.TrustedProxies = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, c.change)
			var held []net.Conn
			for range 3 {
				held = append(held, r.dialAlive())
			}
			extra, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(extra), nil)
			if err != nil || res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
				t.Fatalf("the fourth: %v %v", res, err)
			}
			_ = res.Body.Close()
			_ = extra.Close()
			for _, h := range held {
				_ = h.Close()
			}
			// The server notices the end of a connection a moment later.
			deadline := time.Now().Add(5 * time.Second)
			for len(r.conns.list()) > 0 && time.Now().Before(deadline) {
				time.Sleep(time.Millisecond)
			}
			_ = r.dialAlive().Close()
		})
	}
}

// Trusted proxies hold the connections of many readers.
func TestProxiesAreNotLimitedPerAddress(t *testing.T) {
	r := start(t, func(o *Options) { o.PerAddress = 1 })
	for range 3 {
		defer func(c net.Conn) { _ = c.Close() }(r.dialAlive())
	}
}
