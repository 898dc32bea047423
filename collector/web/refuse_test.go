package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSlowBodyIsGivenUp(t *testing.T) {
	r := start(t, func(o *Options) { o.ReadTimeout = 150 * time.Millisecond })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	begin := time.Now()
	fmt.Fprintf(c, "POST /e HTTP/1.1\r\nHost: c.example\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer to a slow body: %v", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 408 || !res.Close {
		t.Errorf("%s, close %v; want 408 and the connection closed", res.Status, res.Close)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("took %s", took)
	}
	if kept := r.disk.kept(); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

// A client that sends a header byte by byte is cut at the same limit: the clock
// starts with the first byte and is not wound up by the next.
func TestSlowHeaderIsGivenUp(t *testing.T) {
	r := start(t, func(o *Options) { o.ReadTimeout = 200 * time.Millisecond })
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	stop := make(chan struct{})
	var drip sync.WaitGroup
	drip.Go(func() {
		_, _ = io.WriteString(c, "POST /e HTTP/1.1\r\nX: ")
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}
	})
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Error("the connection is still open after 5 s")
	}
	close(stop)
	drip.Wait()
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// The answer to a body that is too large arrives although the client goes on
// sending, and long before all of it is there.
func TestOversizedBodyGetsIts413(t *testing.T) {
	r := start(t)
	large := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name string
		body io.Reader
		cors string
	}{
		{"with a length", strings.NewReader(large), "https://news.example"},
		// fasthttp has forgotten the header by then
		{"in chunks", struct{ io.Reader }{strings.NewReader(large)}, ""},
	} {
		a := r.send("POST", "/e", plain(), c.body)
		if a.status != 413 || a.body != `{"error":"body over 64 KiB"}` {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if got := a.header.Get("Access-Control-Allow-Origin"); got != c.cors || a.header.Get("Vary") != "Origin" {
			t.Errorf("%s: Access-Control-Allow-Origin %q, Vary %q", c.name, got, a.header.Get("Vary"))
		}
	}
	if got := r.figure(`passalong_beacons_total{answer="413"}`); got != "2" {
		t.Errorf("%s answers 413 counted, want 2", got)
	}

	// Only the header is sent: the length alone is enough.
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprintf(c, "POST /e HTTP/1.1\r\nHost: c.example\r\nContent-Type: text/plain\r\nContent-Length: 1000000000\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 413 {
		t.Fatalf("a length of 1 GB: %v %v", res, err)
	}
	_ = res.Body.Close()
}

func TestBodyOfExactly64KiBIsRead(t *testing.T) {
	r := start(t)
	body := beaconBody()
	body = body[:len(body)-1] + strings.Repeat(" ", maxBody-len(body)) + "}"
	for name, reader := range map[string]io.Reader{"with a length": strings.NewReader(body), "in chunks": struct{ io.Reader }{strings.NewReader(body)}} {
		if a := r.send("POST", "/e", plain(), reader); a.status != 204 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := r.send("POST", "/e", plain(), strings.NewReader(body+" ")); a.status != 413 {
		t.Errorf("a byte more: %d", a.status)
	}
}

func TestOversizedHeaderIsRefused(t *testing.T) {
	r := start(t)
	a := r.send("GET", "/healthz", map[string]string{"Cookie": strings.Repeat("c", maxHeader)}, nil)
	if a.status != 431 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := r.send("GET", "/healthz", map[string]string{"Cookie": strings.Repeat("c", 12<<10)}, nil); a.status != 200 {
		t.Errorf("a publisher's 12 KiB of cookies: %d", a.status)
	}
}

func TestWhatIsNoHTTPGetsAPlain400(t *testing.T) {
	r := start(t)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprintf(c, "POST /secret HTTP/1.1\r\nHost: c.example\r\nContent-Length: secret\r\n\r\n")
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(all, []byte("HTTP/1.1 400 ")) || bytes.Contains(all, []byte("secret")) || bytes.Contains(all, []byte("Server:")) {
		t.Errorf("answered:\n%s", all)
	}
}
