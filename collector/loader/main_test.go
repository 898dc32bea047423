package loader

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/lineage"
	"github.com/passalong/passalong/collector/lineage/lineagetest"
	"github.com/passalong/passalong/collector/spool"
	"github.com/passalong/passalong/collector/store"
	"github.com/passalong/passalong/schema"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// deep is how much a test does: in `make test` little, because collector/torture
// does the same to the whole collector, and more in `make torture`.
func deep(quick, torture int) int {
	if os.Getenv("TORTURE") == "" {
		return quick
	}
	return torture
}

// A world is one database, real, and what the tests do with it.
type world struct {
	testing.TB
	conn driver.Conn
	dsn  string
}

func (w *world) Conn() driver.Conn { return w.conn }

// newWorld empties the tables of the shared engine.
func newWorld(t testing.TB) *world {
	t.Helper()
	return openWorld(t, enginetest.Start(t).DSN())
}

func openWorld(t testing.TB, dsn string) *world {
	t.Helper()
	ctx := t.Context()
	if err := schema.Apply(ctx, dsn, schema.Options{}); err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, conn: dial(t, dsn), dsn: dsn}
	for _, table := range []string{"passalong.events", "passalong.lineage", "passalong_private.texts", "passalong_private.erase_orders"} {
		w.exec("TRUNCATE TABLE " + table)
	}
	return w
}

func dial(t testing.TB, dsn string) driver.Conn {
	t.Helper()
	db, err := store.Open(dsn + "?dial_timeout=1s") // a handshake ends by this alone, not by the context
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db.Conn()
}

func (w *world) exec(query string, args ...any) {
	w.Helper()
	if err := w.conn.Exec(context.Background(), query, args...); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

func (w *world) number(query string, args ...any) (n uint64) {
	w.Helper()
	if err := w.conn.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
	return n
}

// openSpool opens a spool in dir, or in a directory of its own.
func openSpool(t testing.TB, dir string) *spool.Spool {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	s, err := spool.Open(spool.Options{Dir: dir, Version: "test", Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A collector is a spool and its loader, running.
type collector struct {
	*world
	*Loader
	spool *spool.Spool
	stop  func()
}

func (w *world) options(s *spool.Spool) Options {
	return Options{Spool: s, DB: w, FlushInterval: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(w.Output(), nil))}
}

func (w *world) start(o Options) *collector {
	w.Helper()
	l, err := New(o)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("run: %v", err)
		}
	})
	w.Cleanup(stop)
	return &collector{world: w, Loader: l, spool: o.Spool, stop: stop}
}

func (c *collector) append(events ...*event.Event) {
	c.Helper()
	if err := c.spool.Append(context.Background(), events); err != nil {
		c.Fatal(err)
	}
}

// load appends beacons and returns when all is visible.
func (c *collector) load(beacons ...[]*event.Event) {
	c.Helper()
	c.appendAll(beacons)
	c.flush()
}

// appendAll appends several beacons in one commit, for speed.
func (c *collector) appendAll(beacons [][]*event.Event) {
	c.Helper()
	for some := range slices.Chunk(beacons, 20) {
		c.append(slices.Concat(some...)...)
	}
}

func (c *collector) flush() {
	c.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		c.Fatalf("%v; %+v", err, c.Stats())
	}
}

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// view is a page view; times are minutes after noon.
func view(token, via, visitor string, minute int) *event.Event {
	at := noon.Add(time.Duration(minute) * time.Minute).UnixMilli()
	return &event.Event{Site: "news.example", Type: "view", View: token, Via: via, Visitor: visitor, Time: at, Received: at + 40,
		Day: int32(at / 86_400_000), Page: "https://news.example/2026/a-story", Privacy: "full", Network: 7, Os: "iOS", Referrer: "https://t.co/"}
}

func share(token, view, visitor string, minute int) *event.Event {
	e := viewEvent("share", view, visitor, minute)
	e.Token, e.Channel = token, "whatsapp"
	return e
}

func viewEvent(kind, token, visitor string, minute int) *event.Event {
	e := view(token, "", visitor, minute)
	e.Type = kind
	return e
}

// exact checks the promise: every event is one row, once, and the nodes are
// what the definition makes of the rows.
func (w *world) exact(rows int) {
	w.Helper()
	if got := w.number("SELECT count() FROM passalong.events"); got != uint64(rows) {
		w.Errorf("%d rows in events, want %d", got, rows)
	}
	if got := w.number("SELECT uniqExact(splitByChar('.', batch)[1], row) FROM passalong.events"); got != uint64(rows) {
		w.Errorf("%d different rows in events, want %d", got, rows)
	}
	want := lineagetest.Define(w.births(), w.consented())
	got := w.stored()
	wrong := 0
	for k, n := range want {
		if g, there := got[k]; !there {
			w.Errorf("node %s is missing", k.Token)
		} else if g != n {
			w.Errorf("node %s:\n got %+v\nwant %+v", k.Token, g, n)
		} else {
			continue
		}
		if wrong++; wrong > 5 {
			break
		}
	}
	if len(got) != len(want) {
		w.Errorf("%d nodes, want %d", len(got), len(want))
	}
}

// births reads what was born out of the stored events.
func (w *world) births() []lineage.Birth {
	w.Helper()
	rows, err := w.conn.Query(context.Background(), `SELECT site, type, time, received, day, privacy, generation, view, via,
		return, visitor, network, bot, page, app, package_channel, referrer, token FROM passalong.events`)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	var events []*event.Event
	for rows.Next() {
		var e event.Event
		var at, received, day time.Time
		var generation, returned, bot uint8
		if err := rows.Scan(&e.Site, &e.Type, &at, &received, &day, &e.Privacy, &generation, &e.View, &e.Via, &returned,
			&e.Visitor, &e.Network, &bot, &e.Page, &e.App, &e.PackageChannel, &e.Referrer, &e.Token); err != nil {
			w.Fatal(err)
		}
		e.Time, e.Received, e.Day = at.UnixMilli(), received.UnixMilli(), int32(day.Unix()/86400)
		e.Generation, e.Returned, e.Bot = uint32(generation), returned == 1, bot == 1
		events = append(events, &e)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return births(events)
}

func births(events []*event.Event) (all []lineage.Birth) {
	for _, e := range events {
		if b, born := birth(e); born {
			all = append(all, b)
		}
	}
	return all
}

// consented reads of each view the consented id that was received first.
func (w *world) consented() map[lineage.Key]string {
	w.Helper()
	rows, err := w.conn.Query(context.Background(), `SELECT site, view, visitor FROM passalong.events
		WHERE consented = 1 AND bot = 0 AND privacy != 'strict' ORDER BY received DESC, batch DESC, row DESC`)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	ids := map[lineage.Key]string{}
	for rows.Next() {
		var k lineage.Key
		var id string
		if err := rows.Scan(&k.Site, &k.Token, &id); err != nil {
			w.Fatal(err)
		}
		ids[k] = id // the last one read came first
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return ids
}

// stored reads the nodes, without bookkeeping.
func (w *world) stored() map[lineage.Key]lineage.Node {
	w.Helper()
	r := reader{nodes: newNodes(w, time.Minute, true), interned: map[string]string{},
		how: lookup{true, "SELECT " + wholeColumns + " FROM passalong.lineage FINAL WHERE $1 != '' OR token IN (SELECT token FROM keys)"}}
	if err := r.read(context.Background(), "every site", nil); err != nil {
		w.Fatal(err)
	}
	stored := map[lineage.Key]lineage.Node{}
	for _, n := range r.found {
		n.Revision = 0
		stored[n.Key()] = n
	}
	return stored
}

func (w *world) node(token string) lineage.Node {
	w.Helper()
	return w.stored()[lineage.Key{Site: "news.example", Token: token}]
}

// crowd makes n beacons of readers who come by each other's tokens, in an
// order in which many parents are late. It is the same for the same seed.
func crowd(seed uint64, n int, from int) (beacons [][]*event.Event) {
	r := rand.New(rand.NewPCG(seed, 1))
	name := func(i int) string { return fmt.Sprintf("%d-%06d", seed, i) }
	for i := from; i < from+n; i++ {
		via := ""
		if i > 0 && r.IntN(10) > 0 {
			via = name(r.IntN(i)) // any that came before it
			if r.IntN(3) == 0 {
				via = name(max(0, i-1-r.IntN(3)))
			}
			if r.IntN(8) == 0 {
				via = "s" + via // a share, which may not exist
			}
		}
		e := view(name(i), via, fmt.Sprintf("v%d", r.IntN(n)), i/10)
		e.Seq = new(uint32)
		e.Returned = r.IntN(20) == 0
		b := []*event.Event{e}
		if r.IntN(4) == 0 {
			b = append(b, share("s"+name(i), name(i), e.Visitor, i/10))
			b[1].Item = 1
		}
		if r.IntN(5) == 0 {
			copied := viewEvent("copy", name(i), e.Visitor, i/10)
			copied.Item, copied.What, copied.Quote = uint32(len(b)), "text", "a passage"
			b = append(b, copied)
		}
		if r.IntN(6) == 0 {
			// The reader consents late; there are few of them, so that some meet.
			late := viewEvent("engage", name(i), fmt.Sprintf("member-%d", r.IntN(n/20+1)), i/10+1)
			late.Consented, late.Seq = true, new(uint32(1))
			beacons = append(beacons, []*event.Event{late})
		}
		beacons = append(beacons, b)
	}
	// Half of them change places: parents come after their children.
	for i := range beacons {
		if j := i + r.IntN(40); r.IntN(2) == 0 && j < len(beacons) {
			beacons[i], beacons[j] = beacons[j], beacons[i]
		}
	}
	return beacons
}

func rowsOf(beacons [][]*event.Event) (n int) {
	for _, b := range beacons {
		n += len(b)
	}
	return n
}

// noLeak fails when the test leaves goroutines behind. Those of the shared
// engine and of clickhouse-go's pool, which ends with its connection, are
// there before.
func noLeak(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}
