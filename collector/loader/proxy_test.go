package loader

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/passalong/passalong/collector/engine/enginetest"
)

// A proxy stands between loader and ClickHouse and cuts connections after so
// many bytes of one direction, in the middle of whatever is under way.
type proxy struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	chance   *rand.Rand // nil: cuts nothing any more
	cuts     int
	open     sync.WaitGroup
}

func newProxy(t *testing.T, dsn string, seed uint64) (p *proxy, through string) {
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{listener: l, to: u.Host, chance: rand.New(rand.NewPCG(seed, seed))}
	u.Host = l.Addr().String()
	p.open.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.open.Wait()
	})
	return p, u.String()
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
		asked, answered := p.limits()
		// The end of one direction is the end of both.
		both := sync.OnceFunc(func() { client.Close(); server.Close() })
		pass := func(to, from net.Conn, limit int64) {
			defer both()
			n, _ := io.Copy(to, io.LimitReader(from, limit)) // how it ended is what the test is about
			if n == limit {
				p.mu.Lock()
				p.cuts++
				p.mu.Unlock()
			}
		}
		p.open.Go(func() { pass(server, client, asked) })
		p.open.Go(func() { pass(client, server, answered) })
	}
}

// limits draws where a connection is cut: small numbers hit queries and
// answers, large ones the blocks of an insert. Handshakes are left alone: the
// embedded engine can abort on one that is garbage. Its supervisor then starts
// it again, which is not what this test is about.
func (p *proxy) limits() (asked, answered int64) {
	const never = 1 << 62
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chance == nil {
		return never, never
	}
	limit := int64(1) << (11 + p.chance.IntN(3))
	limit += p.chance.Int64N(limit)
	if p.chance.IntN(2) == 0 {
		return limit, never
	}
	return never, limit
}

func (p *proxy) heal() (cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chance = nil
	return p.cuts
}

func TestConnectionsAreCutAnywhere(t *testing.T) {
	for seed := range uint64(deep(1, 4)) {
		t.Logf("seed %d", seed)
		direct := newWorld(t)
		p, through := newProxy(t, enginetest.Start(t).DSN(), seed)
		w := &world{TB: t, conn: dial(t, through)}
		o := w.options(openSpool(t, ""))
		o.FlushRows = 60
		c := w.start(o)
		beacons := crowd(10+seed, deep(500, 1000), 0)
		c.appendAll(beacons)
		until(t, "many cuts, and some batches in spite of them", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.cuts >= 6 || c.Stats().Lag == 0
		})
		cuts := p.heal()
		c.flush()
		c.stop()
		direct.exact(rowsOf(beacons))
		if cuts < 4 {
			t.Errorf("%d cuts: this run shows nothing", cuts)
		}
		w.conn.Close()
	}
}
