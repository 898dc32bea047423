package erase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/store"
	"github.com/passalong/passalong/schema"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// A world is the tables of the shared engine, emptied.
type world struct {
	testing.TB
	conn Conn
}

func newWorld(t testing.TB) world {
	t.Helper()
	dsn := enginetest.Start(t).DSN()
	if err := schema.Apply(t.Context(), dsn, schema.Options{}); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := world{t, db.Conn()}
	for _, name := range append([]string{"passalong_private.erase_orders"}, erasedFrom...) {
		w.exec("TRUNCATE TABLE " + name)
	}
	return w
}

func (w world) exec(query string) {
	w.Helper()
	if err := w.conn.Exec(context.Background(), query); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

func (w world) number(query string) uint64 {
	w.Helper()
	var rows []struct {
		N uint64 `ch:"n"`
	}
	if err := w.conn.Select(context.Background(), &rows, query); err != nil || len(rows) != 1 {
		w.Fatalf("%s: %v", query, err)
	}
	return rows[0].N
}

// event stores a row of `events`, and its node where it gives birth; rest are
// further columns, as "consented = 1".
func (w world) event(site, kind, view, visitor string, rest ...string) {
	w.Helper()
	columns, values := "", ""
	for _, one := range rest {
		name, value, _ := strings.Cut(one, " = ")
		columns, values = columns+", "+name, values+", "+value
	}
	w.exec("INSERT INTO passalong.events (site, type, view, visitor, time, received, day, batch" + columns + ") SELECT " +
		strings.Join([]string{literal(site), literal(kind), literal(view), literal(visitor)}, ", ") + ", now64(3) - 60, now64(3) - 60, today(), 'b'" + values)
	switch kind {
	case "view":
		w.exec("INSERT INTO passalong.lineage (site, token, kind, visitor, time, received, generation) SELECT " +
			strings.Join([]string{literal(site), literal(view), "'view'", literal(visitor)}, ", ") + ", now64(3) - 60, now64(3) - 60, -1")
	case "share":
		w.exec("INSERT INTO passalong.lineage (site, token, kind, via, visitor, time, received, generation) SELECT " +
			strings.Join([]string{literal(site), "'share of " + view + "'", "'share'", literal(view), literal(visitor)}, ", ") + ", now64(3) - 60, now64(3) - 60, -1")
	case "answer":
		w.exec("INSERT INTO passalong_private.texts (site, day, batch, view, visitor, text, received) SELECT " +
			strings.Join([]string{literal(site), "today()", "'b'", literal(view), literal(visitor)}, ", ") + ", 'words', now64(3) - 60")
	}
}

func (w world) run(s Subject) Result {
	w.Helper()
	r, err := Run(context.Background(), Options{Conn: w.conn, Subject: s})
	if err != nil {
		w.Fatal(err)
	}
	if len(r.Order) != 16 {
		w.Errorf("order %q", r.Order)
	}
	r.Order = ""
	return r
}

// A site's id and a visitor may have any character.
const (
	odd = `it's \ odd\n`
	who = `o'brien \ "x" ☃`
)

func TestWhatIsErasedAndWhatStays(t *testing.T) {
	w := newWorld(t)
	w.event(odd, "view", "v1", "pseudonym")
	w.event(odd, "answer", "v1", who, "consented = 1")
	w.event(odd, "share", "v1", "pseudonym", "token = 'share of v1'")
	w.event(odd, "view", "v2", who, "consented = 1")
	w.event(odd, "view", "v3", "bob", "via = 'v1'")
	w.event(odd, "engage", "v3", who)
	w.event("another", "view", "v1", who)

	first := w.run(Subject{Site: odd, Visitor: who})
	if want := (Result{Events: 5, Texts: 1, Nodes: 3}); first != want {
		t.Errorf("%+v, want %+v", first, want)
	}
	if n := w.number("SELECT countIf(view = 'v3' AND visitor = 'bob') * 10 + countIf(site = 'another') AS n FROM passalong.events"); n != 11 {
		t.Errorf("of the rows of others %d, want 11", n)
	}
	if n := w.number("SELECT count() AS n FROM passalong.nodes"); n != 2 {
		t.Errorf("%d nodes, want those of bob and of another site", n)
	}
	if n := w.number("SELECT count() AS n FROM passalong_private.texts"); n != 0 {
		t.Errorf("%d texts", n)
	}
	if again := w.run(Subject{Site: odd, Visitor: who}); again != (Result{}) {
		t.Errorf("again: %+v", again)
	}
	if nobody := w.run(Subject{Site: odd, Visitor: "nobody"}); nobody != (Result{}) {
		t.Errorf("nobody: %+v", nobody)
	}
	// What comes after the order stays, and is said.
	w.exec("INSERT INTO passalong.events (site, type, view, visitor, time, received) SELECT " + literal(odd) + ", 'view', 'v9', " + literal(who) + ", now64(3) + 60, now64(3) + 60")
	if later := w.run(Subject{Site: odd, Visitor: who}); later != (Result{Later: 1}) {
		t.Errorf("later: %+v", later)
	}
	// Nowhere is it written down who was erased.
	if n := w.number("SELECT count() AS n FROM system.mutations WHERE position(command, 'brien') > 0 OR position(command, 'v2') > 0"); n != 0 {
		t.Errorf("%d mutations name whom they erased", n)
	}
	if n := w.number("SELECT count() AS n FROM passalong_private.erase_orders WHERE toString(tuple(*)) LIKE '%brien%'"); n != 0 {
		t.Errorf("%d orders name whom they erase", n)
	}
	if n := w.number("SELECT count() AS n FROM system.tables WHERE database LIKE 'passalong%' AND create_table_query LIKE '%old_parts_lifetime%'"); n != 0 {
		t.Errorf("the hurry with old parts was left on for %d tables", n)
	}
}

func TestByAToken(t *testing.T) {
	for name, c := range map[string]struct {
		token string
		want  Result
	}{
		"a view goes with its share and text":    {"v1", Result{Events: 3, Texts: 1, Nodes: 2}},
		"a share goes alone":                     {"share of v1", Result{Events: 1, Nodes: 1}},
		"an unknown one":                         {"v7", Result{}},
		"one that only others came by is nobody": {"gone", Result{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.event("s", "view", "v1", "ann")
			w.event("s", "answer", "v1", "ann")
			w.event("s", "share", "v1", "ann", "token = 'share of v1'")
			w.event("s", "view", "v2", "ann", "via = 'gone'")
			if got := w.run(Subject{Site: "s", Token: c.token}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if n := w.number("SELECT count() AS n FROM passalong.events"); n != 4-c.want.Events {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// More views than one statement can name, cut off on the way: the same command
// again finishes it, and then nothing is left of any of them.
func TestAnOrderThatWasCutOffIsFinished(t *testing.T) {
	w := newWorld(t)
	const views = 2*digestsPerStatement + 7
	w.exec(fmt.Sprintf(`INSERT INTO passalong.events (site, type, view, visitor, consented, time, received, row)
		SELECT 's', if(number %% 2 = 0, 'view', 'engage'), concat('v', toString(intDiv(number, 2))), if(number %% 2 = 0, 'pseudonym', 'ann'), number %% 2, now64(3) - 60, now64(3) - 60, number FROM numbers(%d)`, 2*views))
	w.exec(fmt.Sprintf(`INSERT INTO passalong.lineage (site, token, kind, visitor, time, received, generation)
		SELECT 's', concat('v', toString(number)), 'view', 'ann', now64(3) - 60, now64(3) - 60, -1 FROM numbers(%d)`, views))
	w.event("s", "view", "other", "bob")

	away := errors.New("the spool is away")
	_, err := Run(t.Context(), Options{Conn: w.conn, Subject: Subject{Site: "s", Visitor: "ann"}, Close: func(context.Context) error { return away }})
	if !errors.Is(err, away) || !strings.Contains(err.Error(), "the same command again finishes it") || strings.Contains(err.Error(), "ann") {
		t.Errorf("cut off: %v", err)
	}
	// And once more, in the middle of the deletions.
	cut := &cutting{Conn: w.conn, after: 5}
	if _, err := Run(t.Context(), Options{Conn: cut, Subject: Subject{Site: "s", Visitor: "ann"}}); err == nil {
		t.Fatal("it was not cut off: this run shows nothing")
	}
	left := w.number("SELECT count() AS n FROM passalong.events")
	if left == 1 || left == 2*views+1 {
		t.Errorf("%d rows are left: it was not cut off in the middle", left)
	}
	if r := w.run(Subject{Site: "s", Visitor: "ann"}); r.Events != left-1 {
		t.Errorf("%+v, want the %d events that were left", r, left-1)
	}
	if n := w.number("SELECT (SELECT count() FROM passalong.events) * 10 + (SELECT count() FROM passalong.nodes) AS n"); n != 11 {
		t.Errorf("%d, want one row and one node of bob", n)
	}
}

// cutting fails after some deletions.
type cutting struct {
	Conn
	after int
}

func (c *cutting) Exec(ctx context.Context, query string, args ...any) error {
	if strings.Contains(query, "DELETE WHERE") {
		if c.after--; c.after < 0 {
			return errors.New("connection lost")
		}
	}
	return c.Conn.Exec(ctx, query, args...)
}

// A node that was written by what had begun before the order is found.
func TestAgainFindsWhatWasWrittenMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.event("s", "view", "v1", "ann")
	w.run(Subject{Site: "s", Visitor: "ann"})
	w.exec("INSERT INTO passalong.lineage (site, token, kind, visitor, time, received, generation) SELECT 's', 'v1', 'view', 'ann', now64(3) - 60, now64(3) - 60, -1")
	w.exec("INSERT INTO passalong.lineage (site, token, kind, visitor, time, received, generation) SELECT 's', 'v5', 'view', 'ann', now64(3) + 60, now64(3) + 60, -1")
	orders, err := Read(t.Context(), w.conn)
	if err != nil || len(orders) != 2 {
		t.Fatalf("%d orders, %v; want the visitor's and the view's", len(orders), err)
	}
	for _, want := range []int{1, 0} {
		if n, err := Again(t.Context(), w.conn, "", orders); n != want || err != nil {
			t.Errorf("%d orders had something left, %v; want %d", n, err, want)
		}
	}
	if n := w.number("SELECT count() AS n FROM passalong.nodes WHERE token = 'v5'"); n != 1 {
		t.Error("the node from after the order is gone")
	}
	before, err := Look(t.Context(), w.conn)
	if err != nil {
		t.Fatal(err)
	}
	w.run(Subject{Site: "s", Token: "v9"})
	if after, err := Look(t.Context(), w.conn); after == before || err != nil {
		t.Errorf("the mark is the same after a new order: %+v %v", after, err)
	}
}

func TestWhatHasToBeNamed(t *testing.T) {
	for _, s := range []Subject{{}, {Site: "s"}, {Visitor: "v"}, {Site: "s", Visitor: "v", Token: "t"}} {
		if _, err := Run(t.Context(), Options{Subject: s}); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}
