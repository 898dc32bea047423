package loader

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/passalong/passalong/collector/lineage"
)

// nodes is the table `lineage` as package lineage wants to see it. It belongs
// to stage two alone.
type nodes struct {
	db         Database
	attempt    time.Duration
	alone      bool
	awaited    awaited
	consenting map[string]bool // sites whose events have consented ids
	doubts     doubts
	checked    bool // the whole table was looked through once
	generation int  // of the engine, as stage two last saw it
}

func newNodes(db Database, attempt time.Duration, alone bool) *nodes {
	return &nodes{db: db, attempt: attempt, alone: alone, consenting: map[string]bool{}, generation: -1}
}

// settleBatch writes a batch's texts and nodes.
func (l *Loader) settleBatch(r retrier, d *digest) error {
	began := time.Now()
	// Again, because stage one may be a batch ahead of an order.
	if fresh, err := l.digestUnder(r, &l.orders[1], d); err != nil {
		return err
	} else {
		d = fresh
	}
	if d.texts {
		if err := r.do("insert texts", func(ctx context.Context) error { return l.insertTexts(ctx, d) }); err != nil {
			return err
		}
	}
	err := r.do("insert nodes", func(ctx context.Context) error {
		if err := l.nodes.know(ctx); err != nil {
			return err
		}
		l.nodes.consent(d.given)
		// A second try reads anew: others may have written meanwhile.
		decision, err := lineage.Decide(ctx, l.nodes, d.born, d.given)
		if err != nil {
			return fmt.Errorf("look up: %w", err)
		}
		if err := l.nodes.write(ctx, decision); err != nil {
			return err
		}
		l.figures.nodes.Add(uint64(len(decision.Changed)))
		return nil
	})
	if err == nil {
		err = r.do("obey erase orders", l.obey)
	}
	l.figures.lineage.add(time.Since(began))
	return err
}

// know reads once, after a start, what nodes wait for and where readers
// consent.
func (n *nodes) know(ctx context.Context) error {
	if n.awaited.known() {
		return nil
	}
	if err := n.learnConsenting(ctx, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, n.attempt)
	defer cancel()
	// Without FINAL: what stopped waiting is a token too many, and harmless.
	rows, err := n.db.Conn().Query(ctx, `/* loader: know */
SELECT DISTINCT site, via FROM passalong.lineage WHERE pending = 1 LIMIT $1`, mostAwaited)
	if err != nil {
		return fmt.Errorf("read awaited tokens: %w", err)
	}
	keys, err := scanKeys(rows)
	if err != nil {
		return fmt.Errorf("read awaited tokens: %w", err)
	}
	n.awaited.start()
	for _, k := range keys {
		n.awaited.add(k)
	}
	return nil
}

func scanKeys(rows driver.Rows) (keys []lineage.Key, err error) {
	defer rows.Close()
	for rows.Next() {
		var k lineage.Key
		if err := rows.Scan(&k.Site, &k.Token); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// Awaited implements lineage.Store.
func (n *nodes) Awaited(k lineage.Key) bool { return n.awaited.has(k) }

// keysPerQuery bounds what one look-up sends and the server sorts. Measured:
// the time per key stays the same from 5,000 on.
const keysPerQuery = 50_000

// Look implements lineage.Store.
func (n *nodes) Look(ctx context.Context, keys []lineage.Key) ([]lineage.Node, error) {
	return n.read(ctx, look, keys)
}

// Nodes implements lineage.Store.
func (n *nodes) Nodes(ctx context.Context, by lineage.By, keys []lineage.Key) ([]lineage.Node, error) {
	return n.read(ctx, byKeys[by], keys)
}

// A lookup is one way to read nodes of one site ($1). The keys stand beside
// the query in a table of their own: as text they would be parsed for longer
// than the look-up takes. Site and token are compared apart, because to hash
// pairs takes three times as long as all the rest (measured).
type lookup struct {
	whole bool // or thin: what is only looked at
	query string
}

const (
	thinColumns  = "site, token, kind, via, parent, origin, depth, return, pending, time, received, visitor, generation, version"
	wholeColumns = thinColumns + ", day, page, network, returned, plain"
	wholeFrom    = "SELECT " + wholeColumns + " FROM passalong.lineage FINAL WHERE site = $1 AND "
)

var (
	// Without FINAL: the row that holds is picked here, of few.
	look = lookup{false, "/* loader: look */ SELECT " + thinColumns +
		" FROM passalong.lineage PREWHERE site = $1 AND token GLOBAL IN (SELECT token FROM keys)"}

	// FINAL picks the row that holds before the condition is looked at, so it
	// must see all rows of a token: the inner query finds tokens that had such
	// a row at some time, and the outer says which still have.
	byKeys = [...]lookup{
		lineage.ByToken: {true, "/* loader: nodes by token */ " + wholeFrom + "token GLOBAL IN (SELECT token FROM keys)"},
		lineage.ByOrigin: {true, "/* loader: nodes by origin */ " + wholeFrom + `token GLOBAL IN (
			SELECT token FROM passalong.lineage WHERE site = $1 AND origin GLOBAL IN (SELECT token FROM keys))
			AND origin GLOBAL IN (SELECT token FROM keys)`},
		lineage.ByVia: {true, "/* loader: nodes by via */ " + wholeFrom + `token GLOBAL IN (
			SELECT token FROM passalong.lineage WHERE site = $1 AND via GLOBAL IN (SELECT token FROM keys))`},
	}
)

func (n *nodes) read(ctx context.Context, how lookup, keys []lineage.Key) ([]lineage.Node, error) {
	bySite := map[string][]string{}
	for _, k := range keys {
		bySite[k.Site] = append(bySite[k.Site], k.Token)
	}
	r := reader{nodes: n, how: how, interned: map[string]string{}, at: map[lineage.Key]int{}}
	for site, tokens := range bySite {
		for some := range slices.Chunk(tokens, keysPerQuery) {
			if err := r.read(ctx, site, some); err != nil {
				return nil, err
			}
		}
	}
	return r.found, nil
}

type reader struct {
	*nodes
	how      lookup
	found    []lineage.Node
	versions []uint64            // of found, where several rows of a token may come
	at       map[lineage.Key]int // where in found
	interned map[string]string   // a tree has few pages and one origin
}

func (r *reader) read(ctx context.Context, site string, tokens []string) error {
	ctx, cancel := context.WithTimeout(ctx, r.attempt)
	defer cancel()
	keys, err := ext.NewTable("keys", ext.Column("token", "String"))
	if err == nil {
		_, err = keys.Block().Columns[0].Append(tokens)
	}
	if err != nil {
		return err
	}
	rows, err := r.db.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(keys)), r.how.query, site)
	if err != nil {
		return err
	}
	defer rows.Close()
	var (
		m                                  lineage.Node
		isReturn, pending, returned, plain uint8
		at, received, day                  time.Time
		version                            uint64
	)
	into := []any{&m.Site, &m.Token, &m.Kind, &m.Via, &m.Parent, &m.Origin, &m.Depth, &isReturn, &pending,
		&at, &received, &m.Visitor, &m.Generation, &version}
	if r.how.whole {
		into = append(into, &day, &m.Page, &m.Network, &returned, &plain)
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		m.Return, m.Pending, m.Returned, m.Plain = isReturn == 1, pending == 1, returned == 1, plain == 1
		m.Time, m.Received = at.UnixMilli(), received.UnixMilli()
		m.Revision = lineage.RevisionOf(version)
		m.Fixed = !r.how.whole
		for _, s := range []*string{&m.Site, &m.Kind, &m.Page, &m.Origin} {
			*s = r.one(*s)
		}
		if r.how.whole { // FINAL: one row of each
			m.Day = int32(day.Unix() / 86400)
			r.found = append(r.found, m)
			continue
		}
		i, again := r.at[m.Key()]
		switch {
		case !again:
			r.at[m.Key()] = len(r.found)
			r.found, r.versions = append(r.found, m), append(r.versions, version)
		case version > r.versions[i]:
			r.found[i], r.versions[i] = m, version
		}
	}
	return rows.Err()
}

func (r *reader) one(s string) string {
	if kept, here := r.interned[s]; here {
		return kept
	}
	r.interned[s] = s
	return s
}

// nodesPerInsert bounds the memory of one insert. A batch's own births always
// fit into one, which is stored as a whole or not at all.
const nodesPerInsert = 100_000

// write stores a decision, in its order, and remembers what it leaves open.
func (n *nodes) write(ctx context.Context, d lineage.Decision) error {
	for rest := d.Changed; len(rest) > 0; {
		some := rest[:min(len(rest), nodesPerInsert)]
		rest = rest[len(some):]
		if err := n.insert(ctx, some); err != nil {
			return fmt.Errorf("write nodes: %w", err)
		}
	}
	for i := range d.Changed {
		n.awaited.remove(d.Changed[i].Key())
	}
	for i := range d.Changed {
		if d.Changed[i].Pending {
			n.awaited.add(d.Changed[i].ViaKey())
		}
	}
	if !n.alone {
		n.doubts.add(d.Again, time.Now())
	}
	return nil
}

// nodeFields are the columns of `lineage`.
var nodeFields = []field[lineage.Node]{
	text("site", func(n *lineage.Node) string { return n.Site }),
	text("token", func(n *lineage.Node) string { return n.Token }),
	text("kind", func(n *lineage.Node) string { return n.Kind }),
	text("via", func(n *lineage.Node) string { return n.Via }),
	text("parent", func(n *lineage.Node) string { return n.Parent }),
	text("origin", func(n *lineage.Node) string { return n.Origin }),
	word("depth", func(n *lineage.Node) uint32 { return n.Depth }),
	flag("return", func(n *lineage.Node) bool { return n.Return }),
	flag("pending", func(n *lineage.Node) bool { return n.Pending }),
	moment("time", func(n *lineage.Node) int64 { return n.Time }),
	moment("received", func(n *lineage.Node) int64 { return n.Received }),
	date("day", func(n *lineage.Node) int32 { return n.Day }),
	text("page", func(n *lineage.Node) string { return n.Page }),
	text("visitor", func(n *lineage.Node) string { return n.Visitor }),
	long("network", func(n *lineage.Node) uint64 { return n.Network }),
	flag("returned", func(n *lineage.Node) bool { return n.Returned }),
	flag("plain", func(n *lineage.Node) bool { return n.Plain }),
	signed("generation", func(n *lineage.Node) int8 { return n.Generation }),
	long("version", (*lineage.Node).Version),
}

var nodesInsert = insertInto("passalong.lineage", nodeFields)

// insert may be repeated: the same rows again are the same nodes. The outcome
// of an attempt therefore need not be known. An old attempt that comes late
// brings versions that have lost.
func (n *nodes) insert(ctx context.Context, some []lineage.Node) error {
	ctx, cancel := context.WithTimeout(ctx, n.attempt)
	defer cancel()
	batch, err := n.db.Conn().PrepareBatch(insertContext(ctx, "passalong-nodes-"+nonce()), nodesInsert)
	if err != nil {
		return err
	}
	columns := batch.Columns()
	k := newChunk[lineage.Node]("")
	for run := range slices.Chunk(some, chunkRows) {
		k.records = k.records[:0]
		for i := range run {
			k.records = append(k.records, &run[i])
		}
		if err = ctx.Err(); err == nil { // Flush does not look
			err = k.send(batch, columns, nodeFields)
		}
		if err != nil {
			_ = batch.Abort() // the connection is dropped, which is all there is to do
			return err
		}
	}
	return batch.Send()
}
