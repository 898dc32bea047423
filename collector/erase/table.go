package erase

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
)

// table is passalong_private.erase_orders and the tables it is about.
type table struct {
	conn    Conn
	cluster string
}

// local names a table where it holds rows, for statements that change them.
func (t table) local(name string) string {
	if t.cluster == "" {
		return name
	}
	return name + "_local ON CLUSTER " + identifier(t.cluster)
}

// write is over when the orders are on the disk of every server.
func (t table) write(ctx context.Context, orders []Order) error {
	for len(orders) > 0 {
		some := orders[:min(len(orders), digestsPerStatement)]
		orders = orders[len(some):]
		values := make([]string, len(some))
		for i, o := range some {
			values[i] = fmt.Sprintf("(%s, %s, %s, unhex('%x'), fromUnixTimestamp64Milli(%d, 'UTC'))",
				literal(o.ID), literal(o.Site), literal(string(o.Kind)), o.Digest, o.At)
		}
		// As a SELECT and not as VALUES: clickhouse-go reads those itself.
		if err := t.conn.Exec(ctx, "INSERT INTO passalong_private.erase_orders (id, site, kind, digest, at) "+
			"SELECT tupleElement(o, 1), tupleElement(o, 2), tupleElement(o, 3), tupleElement(o, 4), tupleElement(o, 5) "+
			"FROM (SELECT arrayJoin(["+strings.Join(values, ", ")+"]) AS o) "+
			"SETTINGS async_insert = 0, insert_deduplicate = 0, distributed_foreground_insert = 1 /* erase: write */"); err != nil {
			return err
		}
	}
	if t.cluster == "" {
		return nil
	}
	// A loader may ask any replica.
	return t.conn.Exec(ctx, "SYSTEM SYNC REPLICA ON CLUSTER "+identifier(t.cluster)+" passalong_private.erase_orders_local")
}

// A Mark tells one state of the orders from another.
type Mark struct{ Count, Hash uint64 }

// Look reads the mark: a small query, for before and after each attempt to load.
func Look(ctx context.Context, conn Conn) (Mark, error) {
	var rows []struct {
		Count uint64 `ch:"n"`
		Hash  uint64 `ch:"hash"`
	}
	err := conn.Select(ctx, &rows, "/* erase: look */ SELECT count() AS n, groupBitXor(cityHash64(id, digest, at)) AS hash FROM passalong_private.erase_orders")
	if err != nil || len(rows) != 1 {
		return Mark{}, err
	}
	return Mark{rows[0].Count, rows[0].Hash}, nil
}

type orderRow struct {
	ID     string `ch:"id"`
	Site   string `ch:"site"`
	Kind   string `ch:"kind"`
	Digest string `ch:"hex"`
	At     int64  `ch:"ms"`
}

const orderColumns = "id, toString(site) AS site, toString(kind) AS kind, hex(digest) AS hex, toUnixTimestamp64Milli(at) AS ms"

// Read reads every order.
func Read(ctx context.Context, conn Conn) ([]Order, error) {
	var rows []orderRow
	if err := conn.Select(ctx, &rows, "/* erase: read */ SELECT "+orderColumns+" FROM passalong_private.erase_orders"); err != nil {
		return nil, err
	}
	orders := make([]Order, len(rows))
	for i, r := range rows {
		orders[i] = Order{ID: r.ID, Site: r.Site, Kind: Kind(r.Kind), At: r.At}
		digest, err := hex.DecodeString(r.Digest)
		if err != nil || len(digest) != len(orders[i].Digest) {
			return nil, fmt.Errorf("order %s: a digest of %d characters", r.ID, len(r.Digest))
		}
		copy(orders[i].Digest[:], digest)
	}
	return orders, nil
}

// Widen is for a loader that found views of an erased visitor in its spool: it
// makes orders of them too and takes out what is stored of them.
func Widen(ctx context.Context, conn Conn, cluster string, orders []Order) error {
	t := table{conn, cluster}
	if err := t.write(ctx, orders); err != nil {
		return fmt.Errorf("write orders of %d views: %w", len(orders), err)
	}
	for _, some := range alike(orders) {
		if _, err := t.remove(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// Again takes out of `lineage` and `texts` what orders name and what was
// written there by an attempt that began before the order and crashed after
// it. It returns how many orders had something left. `events` needs no such
// look: there the loader counts.
func Again(ctx context.Context, conn Conn, cluster string, orders []Order) (int, error) {
	t := table{conn, cluster}
	var left []struct {
		ID string `ch:"id"`
	}
	err := conn.Select(ctx, &left, `/* erase: again */
SELECT DISTINCT id FROM (
    SELECT o.id AS id FROM passalong.lineage AS l INNER JOIN passalong_private.erase_orders AS o
        ON o.digest = `+digestOf(Token, "l.site", "l.token")+` WHERE o.kind = 'token' AND l.received <= o.at
    UNION ALL
    SELECT o.id FROM passalong.lineage AS l INNER JOIN passalong_private.erase_orders AS o
        ON o.digest = `+digestOf(Token, "l.site", "l.via")+` WHERE o.kind = 'token' AND l.kind = 'share' AND l.received <= o.at
    UNION ALL
    SELECT o.id FROM passalong.lineage AS l INNER JOIN passalong_private.erase_orders AS o
        ON o.digest = `+digestOf(Visitor, "l.site", "l.visitor")+` WHERE o.kind = 'visitor' AND l.received <= o.at
    UNION ALL
    SELECT o.id FROM passalong_private.texts AS l INNER JOIN passalong_private.erase_orders AS o
        ON o.digest = `+digestOf(Token, "l.site", "l.view")+` WHERE o.kind = 'token' AND l.received <= o.at
    UNION ALL
    SELECT o.id FROM passalong_private.texts AS l INNER JOIN passalong_private.erase_orders AS o
        ON o.digest = `+digestOf(Visitor, "l.site", "l.visitor")+` WHERE o.kind = 'visitor' AND l.received <= o.at
) SETTINGS distributed_product_mode = 'global'`)
	if err != nil {
		return 0, fmt.Errorf("look for what is left: %w", err)
	}
	ids := map[string]bool{}
	for _, l := range left {
		ids[l.ID] = true
	}
	var again []Order
	for _, o := range orders {
		if ids[o.ID] {
			again = append(again, o)
		}
	}
	for _, some := range alike(again) {
		if _, err := t.obey(ctx, &some); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}

// alike groups orders by what a statement has once: site and time.
func alike(orders []Order) [][]Order {
	type key struct {
		site string
		at   int64
	}
	at := map[key]int{}
	var groups [][]Order
	for _, o := range orders {
		k := key{o.Site, o.At}
		i, known := at[k]
		if !known {
			i = len(groups)
			at[k], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], o)
	}
	return groups
}

func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

func identifier(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
