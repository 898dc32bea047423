package erase

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A mutation writes new parts and leaves the old ones on the disk, with the
// rows that were deleted, for old_parts_lifetime: 8 minutes by default, for
// systems that lose power before a new part is synced. Passalong's tables sync
// theirs first (min_rows_to_fsync_after_merge), so the wait can be cut short.
const (
	hurried = " MODIFY SETTING old_parts_lifetime = 1"
	calm    = " RESET SETTING old_parts_lifetime"
)

var erasedFrom = []string{"passalong.events", "passalong.lineage", "passalong_private.texts"}

// dropOldParts returns when the parts that the tables had before the mutations
// are deleted, or after patience, with how many are left. They go by themselves
// in a few minutes.
func (t table) dropOldParts(ctx context.Context, patience time.Duration) (left uint64, err error) {
	old, err := t.names(ctx, "/* erase: old parts */ SELECT name FROM ("+t.parts()+")")
	if err != nil || len(old) == 0 {
		return 0, err
	}
	defer func() {
		// Also when ctx has ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, t.alter(ctx, calm))
	}()
	if err := t.alter(ctx, hurried); err != nil {
		return uint64(len(old)), err
	}
	query := "/* erase: old parts */ SELECT count() AS n FROM (" + t.parts() + ") WHERE name IN (" + literals(old) + ")"
	for end := time.Now().Add(patience); ; {
		var rows []struct {
			N uint64 `ch:"n"`
		}
		if err := t.conn.Select(ctx, &rows, query); err != nil {
			return left, err
		}
		if left = rows[0].N; left == 0 || time.Now().After(end) {
			return left, nil
		}
		if t.cluster == "" {
			// Where nothing is written ClickHouse looks for old parts ever more
			// seldom, at last every ten minutes. It also does after dropping a
			// partition; this one is not there.
			if err := t.alter(ctx, " DROP PARTITION ID '190001'"); err != nil {
				return left, err
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

func (t table) alter(ctx context.Context, change string) error {
	for _, name := range erasedFrom {
		if err := t.conn.Exec(ctx, "/* erase: old parts */ ALTER TABLE "+t.local(name)+change); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// parts are those that are no longer of a table and still on a disk.
func (t table) parts() string {
	from, suffix := "system.parts", ""
	if t.cluster != "" {
		from, suffix = "clusterAllReplicas("+identifier(t.cluster)+", system.parts)", "_local"
	}
	tables := make([]string, len(erasedFrom))
	for i, name := range erasedFrom {
		database, table, _ := strings.Cut(name, ".")
		tables[i] = fmt.Sprintf("('%s', '%s%s')", database, table, suffix)
	}
	return "SELECT concat(hostName(), ' ', toString(uuid), ' ', name) AS name FROM " + from +
		" WHERE NOT active AND (database, table) IN (" + strings.Join(tables, ", ") + ")"
}
