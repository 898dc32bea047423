package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/salt"
)

// Salts keeps the salts of several collectors in the table
// passalong_private.salts. A secret never stands in the text of a statement:
// servers keep those, in query_log and in the list of mutations, longer than
// the salt may live.
type Salts struct {
	db *DB
	// Rows are deleted from the table that holds them, on every server of the
	// cluster, and read and written through the one that spans it.
	local string
}

var _ salt.Remote = (*Salts)(nil)

// Salts are those of this ClickHouse. cluster is the name of a cluster, empty
// for one server.
func (db *DB) Salts(cluster string) *Salts {
	s := &Salts{db: db, local: "passalong_private.salts"}
	if cluster != "" {
		s.local = "passalong_private.salts_local ON CLUSTER " + identifier(cluster)
	}
	return s
}

const daySeconds = 86400

// List gives all salts there are.
func (s *Salts) List(ctx context.Context) ([]salt.Salt, error) {
	rows, err := s.db.conn.Query(ctx, "/* store: list salts */ SELECT site, day, salt, made FROM passalong_private.salts")
	if err != nil {
		return nil, Plain(err)
	}
	defer rows.Close()
	var all []salt.Salt
	for rows.Next() {
		var (
			one    salt.Salt
			day    time.Time
			secret string
		)
		if err := rows.Scan(&one.Site, &day, &secret, &one.Made); err != nil {
			return nil, err
		}
		if len(secret) != len(one.Secret) {
			return nil, fmt.Errorf("a salt of %d bytes", len(secret))
		}
		one.Day = int32(day.Unix() / daySeconds)
		copy(one.Secret[:], secret)
		all = append(all, one)
	}
	return all, Plain(rows.Err())
}

// Put adds one. The insert is over when it returns, also on a cluster.
func (s *Salts) Put(ctx context.Context, one salt.Salt) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"async_insert": 0, "distributed_foreground_insert": 1, "insert_deduplicate": 0,
	}))
	batch, err := s.db.conn.PrepareBatch(ctx, "/* store: put salt */ INSERT INTO passalong_private.salts (site, day, salt, made)")
	if err != nil {
		return Plain(err)
	}
	defer batch.Close()
	if err := batch.Append(one.Site, time.Unix(int64(one.Day)*daySeconds, 0).UTC(), string(one.Secret[:]), one.Made); err != nil {
		return err
	}
	return Plain(batch.Send())
}

// Delete removes salts and returns when they are out of every part. They are
// named by site, day and time: what is due depends on nothing else.
func (s *Salts) Delete(ctx context.Context, due []salt.Salt) error {
	if len(due) == 0 {
		return nil
	}
	keys := make([]string, len(due))
	for i, one := range due {
		keys[i] = fmt.Sprintf("(%s, %d, %d)", literal(one.Site), one.Day, one.Made.UnixMilli())
	}
	return Plain(s.db.conn.Exec(ctx, "/* store: delete salts */ ALTER TABLE "+s.local+
		" DELETE WHERE (site, toInt32(day), toUnixTimestamp64Milli(made)) IN ("+strings.Join(keys, ", ")+") SETTINGS mutations_sync = 2"))
}
