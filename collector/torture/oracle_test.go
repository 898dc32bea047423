package torture

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/passalong/passalong/collector/lineage"
	"github.com/passalong/passalong/collector/lineage/lineagetest"
)

// check is the oracle: it holds the tables against the ledger. Everything taken
// must be in every table already. It may be asked again and again.
func (l *ledger) check(t testing.TB, conn driver.Conn) {
	t.Helper()
	l.mu.Lock()
	entries := slices.Clone(l.entries)
	l.mu.Unlock()
	o := &oracle{TB: t, conn: conn}
	o.read()
	o.rows(entries)
	nodes := o.nodes()
	o.born(entries, nodes)
	o.lineage(nodes)
	o.revenue()
	if o.wrong > mostWrong {
		t.Errorf("… and %d more", o.wrong-mostWrong)
	}
	sum := map[int]int{}
	unsent := 0
	for _, e := range entries {
		if !e.sent {
			unsent++
			continue
		}
		sum[e.status]++
	}
	t.Logf("%d beacons, %d of them met nobody; by answer (0: none) %v; %d rows, %d nodes; %d unanswered were there", len(entries), unsent, sum, o.count, len(nodes), o.there)
}

// mostWrong bounds what is told of one fault.
const mostWrong = 12

type oracle struct {
	testing.TB
	conn   driver.Conn
	stored map[int][]row // by serial number
	births []lineage.Birth
	ids    map[lineage.Key]string // the consented id of a view
	sold   map[string]int64       // ten-thousandths by site and currency
	count  int
	there  int
	wrong  int
}

func (o *oracle) bad(format string, args ...any) {
	o.Helper()
	if o.wrong++; o.wrong <= mostWrong {
		o.Errorf(format, args...)
	}
}

func (o *oracle) query(query string, each func(driver.Rows) error) {
	o.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	rows, err := o.conn.Query(ctx, query)
	if err != nil {
		o.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			o.Fatalf("%s: %v", query, err)
		}
	}
	if err := rows.Err(); err != nil {
		o.Fatalf("%s: %v", query, err)
	}
}

// read takes in the table `events`.
func (o *oracle) read() {
	o.Helper()
	o.stored, o.ids, o.sold = map[int][]row{}, map[lineage.Key]string{}, map[string]int64{}
	ids := map[string]bool{}  // of rows
	said := map[string]bool{} // events of a view by place, orders
	o.query(`SELECT title, site, type, view, toInt64(ifNull(seq, 4294967296)), item, via, visitor, consented, network, bot, token, order, name, currency,
			toInt64(value * 10000), time, received, day, privacy, generation, return, page, app, package_channel, referrer, splitByChar('.', toString(batch))[1], row
		FROM passalong.events ORDER BY received, batch, row`, func(rows driver.Rows) error {
		var (
			r                                                  row
			title, visitor, privacy, page, app, pack, from, id string
			seq                                                int64
			item, consented, bot, generation, returned         uint8
			network, number                                    uint64
			at, received, day                                  time.Time
		)
		if err := rows.Scan(&title, &r.site, &r.kind, &r.view, &seq, &item, &r.via, &visitor, &consented, &network, &bot, &r.token, &r.order, &r.name, &r.coin,
			&r.value, &at, &received, &day, &privacy, &generation, &returned, &page, &app, &pack, &from, &id, &number); err != nil {
			return err
		}
		o.count++
		if name := fmt.Sprint(id, " ", number); ids[name] {
			o.bad("row %d of spool %s stands twice", number, id)
		} else {
			ids[name] = true
		}
		var err error
		if r.serial, err = strconv.Atoi(title); err != nil {
			return fmt.Errorf("a row that no beacon of this test made: %w", err)
		}
		r.seq, r.item, r.bot = int(seq), int(item), bot == 1
		if consented == 1 {
			r.visitor = visitor
		}
		o.stored[r.serial] = append(o.stored[r.serial], r)
		if r.bot {
			return nil
		}
		strict := privacy == "strict"
		if k := (lineage.Key{Site: r.site, Token: r.view}); consented == 1 && !strict && o.ids[k] == "" {
			o.ids[k] = visitor // rows come in the order in which they were received
		}
		// What was sent twice counts once, and so does an order. At a strict site two
		// readers behind one address, with one agent, are one for the views as well.
		copied, order := fmt.Sprint(r.site, r.view, visitor, r.seq, " ", r.item), "order "+r.site+r.order
		if r.kind == "convert" && !said[copied] && (r.order == "" || !said[order]) {
			said[order] = true
			coin := r.coin
			if coin == "" {
				coin = map[string]string{"shop.example": "USD"}[r.site]
			}
			if coin == "" {
				coin = "EUR"
			}
			o.sold[r.site+" "+coin] += r.value
		}
		said[copied] = true
		b := lineage.Birth{Site: r.site, Kind: r.kind, Time: at.UnixMilli(), Received: received.UnixMilli(), Day: int32(day.Unix() / 86400),
			Page: page, Visitor: visitor, Network: network, Generation: -1}
		switch {
		case r.kind == "view":
			b.Token, b.Via, b.Returned, b.Plain = r.view, r.via, returned == 1, app == "" && pack == "" && from == ""
			if strict {
				b.Generation = int8(generation)
			}
		case r.kind == "share" && !strict:
			b.Token, b.Via = r.token, r.view
		default:
			return nil
		}
		o.births = append(o.births, b)
		return nil
	})
}

// rows holds each beacon's rows against its answer.
func (o *oracle) rows(entries []entry) {
	o.Helper()
	for i := range entries {
		e := &entries[i]
		v, wrong := e.verdict()
		if wrong != "" {
			o.bad("beacon %d %s", e.serial, wrong)
		}
		got := o.stored[e.serial]
		delete(o.stored, e.serial)
		if len(got) == 0 && v != once {
			continue
		}
		slices.SortFunc(got, func(a, b row) int { return a.item - b.item })
		if v == nowhere || !slices.Equal(got, e.events) {
			o.bad("beacon %d (answered %d) must be there %s, as\n%+v\nthere is\n%+v", e.serial, e.status, v, e.events, got)
		} else if v == maybe {
			o.there++
		}
	}
	for serial, rows := range o.stored {
		o.bad("nobody sent beacon %d, and it has %d rows", serial, len(rows))
	}
}

// nodes takes in what is stored of lineage.
func (o *oracle) nodes() map[lineage.Key]lineage.Node {
	o.Helper()
	nodes := map[lineage.Key]lineage.Node{}
	o.query(`SELECT site, token, kind, via, parent, origin, depth, return, pending, time, received, day, page, visitor, network, returned, plain, generation
		FROM passalong.nodes`, func(rows driver.Rows) error {
		var n lineage.Node
		var at, received, day time.Time
		var returns, pending, returned, plain uint8
		if err := rows.Scan(&n.Site, &n.Token, &n.Kind, &n.Via, &n.Parent, &n.Origin, &n.Depth, &returns, &pending, &at, &received, &day,
			&n.Page, &n.Visitor, &n.Network, &returned, &plain, &n.Generation); err != nil {
			return err
		}
		n.Time, n.Received, n.Day = at.UnixMilli(), received.UnixMilli(), int32(day.Unix()/86400)
		n.Return, n.Pending, n.Returned, n.Plain = returns == 1, pending == 1, returned == 1, plain == 1
		if _, twice := nodes[n.Key()]; twice {
			o.bad("node %s of %s stands twice", n.Token, n.Site)
		}
		nodes[n.Key()] = n
		return nil
	})
	return nodes
}

// born looks for the node of every token that an answered beacon bore.
func (o *oracle) born(entries []entry, nodes map[lineage.Key]lineage.Node) {
	o.Helper()
	for i := range entries {
		e := &entries[i]
		if v, _ := e.verdict(); v != once {
			continue
		}
		for _, token := range e.born {
			if _, there := nodes[lineage.Key{Site: e.site, Token: token}]; !there {
				o.bad("beacon %d was answered %d and its token %s has no node", e.serial, http.StatusNoContent, token)
			}
		}
	}
}

// lineage holds the nodes against the recursive definition over all rows.
func (o *oracle) lineage(nodes map[lineage.Key]lineage.Node) {
	o.Helper()
	want := lineagetest.Define(o.births, o.ids)
	for k, n := range want {
		if got, there := nodes[k]; !there {
			o.bad("node %s of %s is missing", k.Token, k.Site)
		} else if got != n {
			o.bad("node %s:\n got %+v\nwant %+v", k.Token, got, n)
		}
	}
	for k := range nodes {
		if _, there := want[k]; !there {
			o.bad("node %s of %s was born by no row", k.Token, k.Site)
		}
	}
}

// revenue holds the view against the rows, to the cent.
func (o *oracle) revenue() {
	o.Helper()
	got := map[string]int64{}
	o.query(`SELECT site, currency, toInt64(sum(value) * 10000) FROM passalong.conversions GROUP BY site, currency`, func(rows driver.Rows) error {
		var site, coin string
		var sum int64
		if err := rows.Scan(&site, &coin, &sum); err != nil {
			return err
		}
		got[site+" "+coin] = sum
		return nil
	})
	if !maps.Equal(got, o.sold) {
		o.bad("the view conversions sums to %s, the rows to %s", money(got), money(o.sold))
	}
}

func money(sums map[string]int64) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(sums)) {
		out = append(out, fmt.Sprintf("%s %d.%04d", k, sums[k]/10_000, sums[k]%10_000))
	}
	return strings.Join(out, ", ")
}
