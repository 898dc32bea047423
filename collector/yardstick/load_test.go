//go:build linux

package yardstick

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// An order is what the load generator is to do.
type order struct {
	Address     string
	Connections int           // kept alive, each with one beacon under way
	Rate        float64       // beacons a second, sent whether or not answers come; 0: each connection sends when it is answered
	Warm        time.Duration // before it counts
	Window      time.Duration
	Seed        uint64
}

// An outcome is what it has seen within the window.
type outcome struct {
	Beacons, Events int
	P50, P99, Max   time.Duration // from sending, or from when it was due, to the answer
	Processor       time.Duration // that the generator had
	Total           int           // beacons answered in all, also before and after the window
}

// load is the generator. It writes a line when the window begins, one when it
// ends, and the outcome. Any answer but 204 is an error.
func load(out io.Writer, o order) error {
	// One thread, no goroutine that waits, nothing to collect: what the runtime
	// would do beside it is somebody else's processor time.
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	crowd, err := newCrowd(o.Seed)
	if err != nil {
		return err
	}
	g := generator{crowd: crowd}
	if err := g.connect(o); err != nil {
		return err
	}
	begin := time.Now().Add(o.Warm)
	if err := g.run(o.Rate, begin); err != nil {
		return err
	}
	fmt.Fprintln(out, "begin")
	g.latencies = make([]time.Duration, 0, 1<<16)
	g.outcome, g.counts = outcome{Total: g.Total}, true
	before := processorOfThis()
	if err := g.run(o.Rate, begin.Add(o.Window)); err != nil {
		return err
	}
	g.Processor, g.counts = processorOfThis()-before, false
	fmt.Fprintln(out, "end")
	if len(g.latencies) == 0 {
		return errors.New("no answer came")
	}
	slices.Sort(g.latencies)
	g.P50, g.P99, g.Max = g.latencies[len(g.latencies)/2], g.latencies[len(g.latencies)*99/100], g.latencies[len(g.latencies)-1]
	// What is under way is waited for: it would else be work in the next round.
	if err := g.settle(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(g.outcome)
}

type generator struct {
	crowd *crowd
	epoll int
	conns []*connection
	byFD  map[int32]*connection
	idle  []*connection // open loop: free to send
	due   time.Time     // open loop: of the next beacon
	ready []unix.EpollEvent

	counts    bool
	latencies []time.Duration
	outcome
}

type connection struct {
	fd      int
	reader  reader
	out, in []byte
	events  int
	since   time.Time // zero: nothing under way
}

func (g *generator) connect(o order) error {
	at, err := netip.ParseAddrPort(o.Address)
	if err != nil {
		return err
	}
	if g.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	g.byFD, g.ready = map[int32]*connection{}, make([]unix.EpollEvent, o.Connections)
	for range o.Connections {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		if err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetNonblock(fd, true)); err != nil {
			return err
		}
		c := &connection{fd: fd, in: make([]byte, 0, 4096)}
		if err := unix.EpollCtl(g.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
		g.conns, g.byFD[int32(fd)] = append(g.conns, c), c
	}
	g.idle = slices.Clone(g.conns)
	return nil
}

// run sends until a moment.
func (g *generator) run(rate float64, until time.Time) error {
	for now := time.Now(); now.Before(until); now = time.Now() {
		wait := until.Sub(now)
		if rate == 0 {
			for _, c := range g.idle { // at the very first
				if err := g.send(c, now, now); err != nil {
					return err
				}
			}
			g.idle = g.idle[:0]
		} else {
			if g.due.IsZero() {
				g.due = now
			}
			for len(g.idle) > 0 && !g.due.After(now) {
				c := g.idle[len(g.idle)-1]
				g.idle = g.idle[:len(g.idle)-1]
				if err := g.send(c, now, g.due); err != nil {
					return err
				}
				g.due = g.due.Add(time.Duration(float64(time.Second) / rate))
			}
			if len(g.idle) > 0 {
				wait = min(wait, g.due.Sub(now))
			}
		}
		if err := g.answers(wait, rate == 0); err != nil {
			return err
		}
	}
	return nil
}

// answers reads what has come, and where again is set sends at once.
func (g *generator) answers(wait time.Duration, again bool) error {
	n, err := unix.EpollWait(g.epoll, g.ready, int((wait+time.Millisecond-1)/time.Millisecond))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	for i := range max(n, 0) {
		c := g.byFD[g.ready[i].Fd]
		whole, err := c.read()
		if err != nil {
			return err
		}
		if !whole {
			continue
		}
		now := time.Now()
		g.Total++
		if g.counts {
			g.Beacons++
			g.Events += c.events
			g.latencies = append(g.latencies, now.Sub(c.since))
		}
		c.since = time.Time{}
		if !again {
			g.idle = append(g.idle, c)
		} else if err := g.send(c, now, now); err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) settle() error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if !slices.ContainsFunc(g.conns, func(c *connection) bool { return !c.since.IsZero() }) {
			return nil
		}
		if err := g.answers(time.Second, false); err != nil {
			return err
		}
	}
	return errors.New("some beacons were never answered")
}

func (g *generator) send(c *connection, now, since time.Time) error {
	c.out, c.events = g.crowd.request(c.out[:0], &c.reader, now)
	c.since = since
	// A request is far smaller than the socket's buffer, which is empty now.
	n, err := unix.Write(c.fd, c.out)
	if err == nil && n != len(c.out) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// read reports whether the answer is there. A 204 has no body, so it ends with
// its header.
func (c *connection) read() (whole bool, err error) {
	n, err := unix.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if n == 0 {
		return false, fmt.Errorf("connection closed after %q", c.in)
	}
	c.in = c.in[:len(c.in)+n]
	if !bytes.HasSuffix(c.in, []byte("\r\n\r\n")) && bytes.HasPrefix(c.in, []byte("HTTP/1.1 204")) {
		return false, nil
	}
	if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 204")) {
		return false, fmt.Errorf("answered %q", c.in)
	}
	c.in = c.in[:0]
	return true, nil
}

func processorOfThis() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // it fails only for an unknown first argument
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
