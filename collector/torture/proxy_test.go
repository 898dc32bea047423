package torture

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// A moment is where in a statement a fault hits.
type moment int

const (
	never  moment = iota
	before        // the server is not told of the statement
	during        // it has begun; rows that are sent are not passed on
	after         // it has done it; its answer is not passed on
)

func (m moment) String() string {
	return [...]string{"never", "before", "during", "after"}[m]
}

// An end says what comes of a statement that is hit.
type end int

const (
	refused  end = iota // the client gets an exception
	cut                 // both connections are closed
	silent              // the client hears nothing; the server's side is closed when the client gives up
	late                // the same, but then the server gets what was held back, and is heard to the end
	halfOpen            // the same, but the server gets nothing and its side stays open
)

func (e end) String() string {
	return [...]string{"refused", "cut", "silent", "late", "half open"}[e]
}

// A fault is made at one statement.
type fault struct {
	at  moment
	end end
	exception
}

// A proxy stands between collector and ClickHouse. It passes everything until
// it is told otherwise, and everything again after heal.
type proxy struct {
	testing.TB
	listener net.Listener
	to       string // host:port of the server
	dsn      string // of the server, through the proxy
	open     sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]bool
	rule   func(statement) fault        // nil: every statement is passed
	limits func() (asked, answered int) // nil: nothing is cut; else in bytes, negative: not this direction
	rate   int                          // bytes a second each way; 0: as fast as it goes
	hits   int                          // statements that met a fault, connections that were cut
	asked  map[string]int               // statements that came, by what they begin with
}

// newProxy starts a proxy in front of the server of a DSN. It ends with the test.
func newProxy(t testing.TB, dsn string) *proxy {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{TB: t, listener: l, to: u.Host, links: map[*link]bool{}, asked: map[string]int{}}
	u.Host = l.Addr().String()
	p.dsn = u.String()
	p.open.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.drop()
		p.open.Wait()
	})
	return p
}

// set makes faults by a rule that is asked at each statement.
func (p *proxy) set(rule func(statement) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// cutBy draws for each new connection after how many bytes it is cut.
func (p *proxy) cutBy(limits func() (asked, answered int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = limits
}

// slow holds new connections to so many bytes a second.
func (p *proxy) slow(rate int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = rate
}

// heal ends all faults and says how many there were since the last time.
func (p *proxy) heal() (hits int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule, p.limits, p.rate = nil, nil, 0
	hits, p.hits = p.hits, 0
	return hits
}

func (p *proxy) met() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

func (p *proxy) hit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits++
}

// drop closes the connections there are.
func (p *proxy) drop() {
	for _, l := range p.all() {
		l.close()
	}
}

// freeze makes the connections there are pass nothing any more, without
// closing them, as a firewall does that has forgotten them.
func (p *proxy) freeze() (frozen int) {
	for _, l := range p.all() {
		l.freeze()
		frozen++
	}
	return frozen
}

func (p *proxy) all() (all []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		all = append(all, l)
	}
	return all
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		p.begin(client, server)
	}
}

func (p *proxy) begin(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{proxy: p, client: client, server: server, asked: -1, answered: -1, rate: p.rate,
		thawed: make(chan struct{}), gone: make(chan struct{})}
	if p.limits != nil {
		l.asked, l.answered = p.limits()
	}
	p.links[l] = true
	pass := l.listen
	if l.asked >= 0 || l.answered >= 0 || l.rate > 0 {
		pass = l.copyBoth // a cut is to hit the middle of a packet; there, parsing would be in the way
	}
	close(l.thawed)
	p.open.Go(func() {
		pass()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// decide asks the rule what to do at a statement.
func (p *proxy) decide(s statement) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, _, _ := strings.Cut(strings.TrimPrefix(s.text, "/* loader: "), "\n")
	name, _, _ = strings.Cut(name, " (")
	if s.login {
		name = "login"
	}
	p.asked[name]++
	if p.rule == nil {
		return fault{}
	}
	f := p.rule(s)
	if f.at != never {
		p.hits++
	}
	return f
}

// A link is a connection of the client and the one that was made for it.
type link struct {
	*proxy
	client, server  net.Conn
	asked, answered int // bytes after which it is cut; negative: never
	rate            int

	once sync.Once
	gone chan struct{} // closed with both connections

	state   sync.Mutex
	thawed  chan struct{} // closed while it passes anything
	turn    turn
	fault   fault
	buffer  []byte // of the client: what is no whole packet yet, or is held back
	columns bool   // the server has said which columns it wants: what follows are rows
	small   bool   // blocks are compressed
}

// A turn is what the client is about.
type turn int

const (
	greets    turn = iota // its hello is due
	waits                 // the server's hello is due
	adds                  // its addendum is due
	idle                  // a statement is due
	asks                  // a statement is under way
	rawly                 // nobody knows; everything is passed
	abandoned             // a statement is under way that nobody waits for
)

// close ends the client's connection at once and the server's in order. A reset
// right after the accept aborts the engine of these tests (ClickHouse 26.7, an
// uncaught ENOTCONN), and they are about the collector.
func (l *link) close() {
	l.once.Do(func() {
		close(l.gone)
		l.client.Close()
		if c, ok := l.server.(*net.TCPConn); ok {
			_ = c.CloseWrite() // it is gone, then
		}
		_ = l.server.SetReadDeadline(time.Now().Add(time.Second))
		l.open.Go(func() {
			_, _ = io.Copy(io.Discard, l.server)
			l.server.Close()
		})
	})
}

func (l *link) freeze() {
	l.state.Lock()
	defer l.state.Unlock()
	l.thawed = make(chan struct{})
}

// warm returns when the link passes things, or is closed.
func (l *link) warm() {
	l.state.Lock()
	thawed := l.thawed
	l.state.Unlock()
	select {
	case <-thawed:
	case <-l.gone:
	}
}

// copyBoth passes bytes, cuts and slows them.
func (l *link) copyBoth() {
	var both sync.WaitGroup
	both.Go(func() { l.copy(l.server, l.client, l.asked) })
	both.Go(func() { l.copy(l.client, l.server, l.answered) })
	both.Wait()
}

func (l *link) copy(to, from net.Conn, limit int) {
	defer l.close() // the end of one direction is the end of both
	if from == l.client && limit >= 0 {
		var whole bool
		if limit, whole = l.copyHello(limit); !whole {
			return
		}
	}
	size := 32 << 10
	if l.rate > 0 {
		size = max(1, l.rate/50)
	}
	b := make([]byte, size)
	for {
		if limit == 0 {
			l.hit()
			return
		}
		n, err := from.Read(b[:min(uint(size), uint(limit))])
		l.warm()
		if _, e := to.Write(b[:n]); e != nil || err != nil {
			return // how it ended is what the test is about
		}
		limit -= n
		if l.rate > 0 {
			select {
			case <-time.After(time.Duration(n) * time.Second / time.Duration(l.rate)):
			case <-l.gone:
				return
			}
		}
	}
}

// copyHello passes the client's hello as a whole, or nothing when it is to be
// cut: half of one aborts the engine of these tests too (an uncaught
// CANNOT_READ_ALL_DATA). The client cannot tell the difference.
func (l *link) copyHello(limit int) (left int, whole bool) {
	var hello []byte
	for b := make([]byte, 4<<10); len(hello) < limit; {
		n, err := l.client.Read(b[:min(len(b), limit-len(hello))])
		hello = append(hello, b[:n]...)
		if _, short := parseHello(hello); short == nil {
			return limit - len(hello), l.pass(hello)
		}
		if err != nil {
			return 0, false
		}
	}
	l.hit()
	return 0, false
}

// listen passes packets and knows whose turn it is.
func (l *link) listen() {
	var both sync.WaitGroup
	both.Go(func() { defer l.close(); l.fromServer() })
	both.Go(func() {
		l.fromClient()
		l.state.Lock()
		heard := l.turn == abandoned
		l.state.Unlock()
		if !heard {
			l.close()
		}
	})
	both.Wait()
}

func (l *link) fromClient() {
	b := make([]byte, 64<<10)
	for {
		n, err := l.client.Read(b)
		l.warm()
		if n > 0 && !l.heard(b[:n]) {
			return
		}
		if err != nil {
			l.left()
			return
		}
	}
}

// heard deals with bytes of the client; false ends the link.
func (l *link) heard(b []byte) bool {
	l.state.Lock()
	defer l.state.Unlock()
	switch l.turn {
	case rawly, waits:
		return l.pass(b)
	case asks:
		if l.fault.at == before || l.fault.at == during && l.columns {
			return l.hitBy(b)
		}
		return l.pass(b)
	}
	l.buffer = append(l.buffer, b...)
	for len(l.buffer) > 0 && l.turn != asks && l.turn != waits {
		var s statement
		size, err := 0, error(nil)
		next := asks
		switch {
		case l.turn == greets:
			s.login, next = true, waits
			size, err = parseHello(l.buffer)
		case l.turn == adds:
			next = idle
			size, err = parseAddendum(l.buffer)
		case l.turn == idle && l.buffer[0] == proto.ClientPing:
			size = 1
		default:
			s, size, err = parseQuery(l.buffer)
		}
		if errors.Is(err, errShort) {
			return true
		}
		if err != nil { // a cancel, or the rest of an insert that was refused
			next, size = rawly, len(l.buffer)
		}
		packet := l.buffer[:size]
		l.buffer = l.buffer[size:]
		l.turn, l.fault, l.columns, l.small = next, fault{}, false, s.small
		if s.login || s.text != "" {
			l.fault = l.decide(s)
		}
		if l.fault.at == before {
			held := append(packet[:size:size], l.buffer...)
			l.buffer = nil
			return l.hitBy(held)
		}
		if !l.pass(packet) {
			return false
		}
	}
	rest := l.buffer
	l.buffer = nil
	return l.pass(rest)
}

func (l *link) pass(b []byte) bool {
	_, err := l.server.Write(b)
	return err == nil
}

// hitBy is the fault, while the client asks. The caller holds state.
func (l *link) hitBy(b []byte) bool {
	switch l.fault.end {
	case refused:
		l.say(l.fault.packet())
		return false
	case cut:
		return false
	case late:
		l.buffer = append(l.buffer, b...)
	}
	return true
}

// say answers in the server's place. The client may be sending and not
// listening; what it sends is taken for a moment, so that the connection does
// not end in a reset that makes the answer unreadable.
func (l *link) say(b []byte) {
	if _, err := l.client.Write(b); err != nil {
		return
	}
	if c, ok := l.client.(*net.TCPConn); ok {
		_ = c.CloseWrite() // it has gone, then
	}
	_ = l.client.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, l.client)
}

// left: the client has closed its connection.
func (l *link) left() {
	l.state.Lock()
	defer l.state.Unlock()
	if l.turn != asks || l.fault.at == never {
		return
	}
	switch l.fault.end {
	case late:
		if l.pass(l.buffer) {
			l.turn = abandoned
		}
	case halfOpen:
		l.turn = abandoned
	}
}

// fromServer passes the server's packets as they are.
func (l *link) fromServer() {
	raw := &recorder{from: l.server}
	r := chproto.NewReader(raw)
	for {
		kind, err := readPacket(r, func() bool {
			l.state.Lock()
			defer l.state.Unlock()
			return l.small
		})
		l.warm()
		if err != nil {
			l.state.Lock()
			if l.turn != abandoned && !l.keeps() {
				_, _ = l.client.Write(raw.take())
			}
			l.state.Unlock()
			return
		}
		if !l.told(kind, raw) {
			return
		}
	}
}

// keeps says that the answer is not for the client. The caller holds state.
func (l *link) keeps() bool { return l.fault.at == after && l.columns }

// told deals with a packet of the server; false ends the link.
func (l *link) told(kind byte, raw *recorder) bool {
	l.state.Lock()
	defer l.state.Unlock()
	if l.turn == abandoned {
		raw.take()
		return !endsTurn(kind)
	}
	if l.keeps() {
		if !endsTurn(kind) {
			return true
		}
		switch l.fault.end {
		case refused:
			l.say(l.fault.packet())
			return false
		case cut:
			return false
		}
		raw.take()
		return true // the client gives up, some time
	}
	switch {
	case kind == proto.ServerHello:
		l.turn = adds
	case kind == proto.ServerData:
		l.columns = true
	}
	if endsTurn(kind) && l.turn == asks {
		l.turn = idle
	}
	_, err := l.client.Write(raw.take())
	return err == nil
}

// A recorder keeps what was read until it is taken.
type recorder struct {
	from io.Reader
	kept []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.kept = append(r.kept, p[:n]...)
	return n, err
}

func (r *recorder) take() []byte {
	b := r.kept
	r.kept = nil
	return b
}
