package schema

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Oldest is the moment before which Retain drops everything: the beginning of
// the month, in UTC, that a moment is in. What happened before it must not be
// loaded any more, or a batch that is counted again would bring it back.
func Oldest(before time.Time) time.Time {
	before = before.UTC()
	return time.Date(before.Year(), before.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// Retain drops the months that lie wholly before a moment: partitions of
// events, texts and erase orders at once, nodes of that time by a mutation. It
// returns how many partitions went. Safe from several collectors and again and
// again; what a month still has younger than before keeps the whole month.
//
// closing is called first if there is something to drop: it ends every attempt
// to load that was begun under an older Oldest. nil: nothing is open.
func Retain(ctx context.Context, dsn string, cluster string, before time.Time, closing func(context.Context) error) (dropped int, err error) {
	r, err := newRenderer(cluster)
	if err != nil {
		return 0, err
	}
	opt, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return 0, fmt.Errorf("read dsn: %w", err)
	}
	db := clickhouse.OpenDB(opt)
	defer db.Close()

	first := Oldest(before)
	for _, table := range []struct{ database, name string }{
		{"passalong", "events"},
		{"passalong_private", "texts"},
		// Last: an order is needed as long as there can be rows from before it.
		{"passalong_private", "erase_orders"},
	} {
		old, err := oldMonths(ctx, db, table.database, r.local(table.name), first)
		if err != nil {
			return dropped, fmt.Errorf("old months of %s: %w", table.name, err)
		}
		if len(old) > 0 && closing != nil {
			if err := closing(ctx); err != nil {
				return dropped, fmt.Errorf("close what is open: %w", err)
			}
			closing = nil
		}
		for _, month := range old {
			if _, err := db.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s.%s %s DROP PARTITION '%s'",
				table.database, r.local(table.name), r.onCluster(), month)); err != nil {
				return dropped, fmt.Errorf("drop %s of %s: %w", month, table.name, err)
			}
			dropped++
		}
	}
	if dropped == 0 {
		return 0, nil
	}
	// Nodes lie by token. What hung below a dropped one keeps origin and depth.
	if _, err := db.ExecContext(ctx, fmt.Sprintf("ALTER TABLE passalong.%s %s DELETE WHERE time < toDateTime64('%s', 3, 'UTC')",
		r.local("lineage"), r.onCluster(), first.Format("2006-01-02 15:04:05"))); err != nil {
		return dropped, fmt.Errorf("delete old nodes: %w", err)
	}
	return dropped, nil
}

// oldMonths lists the partitions of a table that are before a month.
func oldMonths(ctx context.Context, db *sql.DB, database, table string, first time.Time) (old []string, err error) {
	rows, err := db.QueryContext(ctx, `/* schema: oldMonths */
SELECT DISTINCT partition FROM system.parts
WHERE database = $1 AND table = $2 AND active AND toUInt32OrZero(partition) < $3
ORDER BY partition`, database, table, first.Year()*100+int(first.Month()))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var month string
		if err := rows.Scan(&month); err != nil {
			return nil, err
		}
		old = append(old, month)
	}
	return old, rows.Err()
}
