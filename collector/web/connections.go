package web

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/passalong/passalong/collector/metrics"
)

// connections is the listener that the server accepts from. It bounds how many
// are open, and knows which are idle, so that a stop cuts none that has a
// request on the way.
type connections struct {
	limit, perAddress int
	trusted           proxies       // a proxy holds the connections of many readers
	slack             time.Duration // by which a deadline may be late
	metrics           *metrics.Metrics
	seldom            *seldom

	mu      sync.Mutex
	ln      net.Listener
	closed  bool
	open    map[*conn]struct{}
	holding map[netip.Addr]int // open ones by network
}

// listen takes the listener. It reports false when Close came first.
func (l *connections) listen(ln net.Listener) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.ln = ln
	l.open, l.holding = map[*conn]struct{}{}, map[netip.Addr]int{}
	return true
}

func (l *connections) Addr() net.Addr { return l.ln.Addr() }

// Accept gives the next connection that is within the limits.
func (l *connections) Accept() (net.Conn, error) {
	for {
		raw, err := l.ln.Accept()
		if shortage(err) {
			// fasthttp would give up for good.
			l.seldom.error("connection not accepted", err)
			time.Sleep(shortagePause)
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := l.admit(raw); c != nil {
			return c, nil
		}
		turnAway(raw)
		l.metrics.Refused()
	}
}

// shortagePause is long enough for connections to end and short enough for the
// kernel's queue to hold those that come meanwhile.
const shortagePause = 20 * time.Millisecond

// shortage reports whether accepting failed for want of something that will be
// there again, or because the client was gone first.
func shortage(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit returns nil for a connection too many.
func (l *connections) admit(raw net.Conn) *conn {
	address := addressOf(raw.RemoteAddr())
	c := &conn{Conn: raw, owner: l, network: network(address)}
	if l.trusted.trust(address) {
		c.network = netip.Addr{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.limit || c.network.IsValid() && l.holding[c.network] >= l.perAddress {
		return nil
	}
	l.open[c] = struct{}{}
	if c.network.IsValid() {
		l.holding[c.network]++
	}
	l.metrics.Opened()
	return c
}

func (l *connections) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if c.network.IsValid() {
		if l.holding[c.network]--; l.holding[c.network] == 0 {
			delete(l.holding, c.network)
		}
	}
	l.metrics.Closed()
}

// tooMany is all that a connection too many is told. It fits the socket's
// buffer, so writing it does not wait for the client.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

func turnAway(c net.Conn) {
	// Nothing to do about an error: the client is gone or is about to be.
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(c, tooMany)
	_ = c.Close()
}

// Close stops accepting. The server closes its listener a second time.
func (l *connections) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.ln == nil {
		return nil
	}
	return l.ln.Close()
}

// state is called by fasthttp when a connection changes. It calls one active as
// soon as it is accepted, hence received.
func (l *connections) state(c net.Conn, state fasthttp.ConnState) {
	if c, ok := c.(*conn); ok {
		c.idle.Store(state == fasthttp.StateIdle)
	}
}

// linger marks a connection whose request was answered before it was read: see
// conn.Close.
func (l *connections) linger(c net.Conn) {
	if c, ok := c.(*conn); ok {
		c.lingers.Store(true)
	}
}

// drain ends the connections that wait for a request, as often as one does, and
// returns when none is left. Only their reading side is shut: what the client
// has already sent is still read and answered, where closing would throw it
// away. One on which nothing has come yet gets the grace to send its first byte.
func (l *connections) drain(ctx context.Context, grace time.Duration) {
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		open := l.list()
		if len(open) == 0 {
			return
		}
		for _, c := range open {
			if c.idle.Load() || !c.received.Load() && time.Since(begin) >= grace {
				c.shutRead()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// cut closes what is left.
func (l *connections) cut() {
	for _, c := range l.list() {
		c.lingers.Store(false)
		_ = c.Close() // it is being given up
	}
}

func (l *connections) list() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*conn, 0, len(l.open))
	for c := range l.open {
		out = append(out, c)
	}
	return out
}

// conn is a connection within the limits.
type conn struct {
	net.Conn
	owner   *connections
	network netip.Addr // what it is counted under; the zero value: not counted

	reads, writes time.Time // the deadlines that are set; only the serving goroutine sets any

	idle     atomic.Bool // between two requests
	received atomic.Bool // something has come
	lingers  atomic.Bool
	shut     sync.Once
	once     sync.Once
	err      error
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.received.Store(true)
	}
	return n, err
}

func (c *conn) shutRead() {
	c.shut.Do(func() {
		if half, ok := c.Conn.(interface{ CloseRead() error }); ok {
			_ = half.CloseRead() // already closed by the client: just as well
		}
	})
}

// How much and how long a refused request is read on. A browser that uploads a
// body of 2 MiB gets to see its 413; a hose does not keep us.
const (
	lingerBytes = 2 << 20
	lingerTime  = time.Second
)

// Close closes once. A connection with unread input that is closed at once is
// reset, and the reset may overtake the answer in it: TCP throws away what the
// client has not read yet. So a request that was refused unread is read on for
// a moment after the answer (RFC 9112, section 9.6).
func (c *conn) Close() error {
	c.once.Do(func() {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.lingers.Load() {
			if half.CloseWrite() == nil && c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
				_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // ends by any error
			}
		}
		c.err = c.Conn.Close()
		c.owner.forget(c)
	})
	return c.err
}

// SetReadDeadline sets a deadline a little late, so that the next requests on
// the connection need not move it: fasthttp asks for two a request.
func (c *conn) SetReadDeadline(t time.Time) error {
	if t.IsZero() { // no deadline
		c.reads = t
		return c.Conn.SetReadDeadline(t)
	}
	if c.near(c.reads, t) {
		return nil
	}
	c.reads = t.Add(c.owner.slack)
	return c.Conn.SetReadDeadline(c.reads)
}

// SetWriteDeadline is the same for writing. It does not fail on a connection
// that cut closed: fasthttp would panic, outside any handler, and take the
// process with it (server.go, "BUG: error in SetWriteDeadline"). The write that
// follows fails instead.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.near(c.writes, t) {
		return nil
	}
	if c.writes = t; !t.IsZero() { // zero: no deadline
		c.writes = t.Add(c.owner.slack)
	}
	if err := c.Conn.SetWriteDeadline(c.writes); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// near reports whether a deadline that is set will do for t.
func (c *conn) near(set, t time.Time) bool {
	late := set.Sub(t)
	return late >= 0 && late <= c.owner.slack
}
