package schema

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// A lock keeps several collectors from changing the schema at once. ClickHouse
// has no lock to ask for, but of several `CREATE TABLE` of one name one
// succeeds. The holder puts a row into the table each second. A table without
// a fresh row has lost its holder and is moved aside: to a name made of its
// own id, so that of several who want it gone one succeeds. That table stays
// until its finder has had the lock, so that a slower one cannot move the
// successor's table to the same name.
//
// On a cluster the lock holds for the collectors that talk to the same server;
// that others come to no harm rests on the migrations being idempotent.
type lock struct {
	db    *sql.DB
	aside []string // tables of holders that were lost, moved out of the way
	stop  context.CancelFunc
	done  sync.WaitGroup
}

const (
	lockBeat  = time.Second
	lockStale = 10 * time.Second // also how long a start waits after a crash in mid-migration
	lockPoll  = 100 * time.Millisecond

	codeTableExists = 57
)

func acquire(ctx context.Context, db *sql.DB, wait time.Duration) (*lock, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	owner := rand.Text()
	var aside []string
	for {
		_, err := db.ExecContext(ctx, "CREATE TABLE passalong.migration_lock (beat DateTime64(3, 'UTC'), owner String) ENGINE = Memory COMMENT '"+owner+"'")
		if err == nil {
			return hold(db, owner, aside), nil
		}
		if !isCode(err, codeTableExists) {
			return nil, err
		}
		moved, err := breakStale(ctx, db)
		if err != nil {
			return nil, err
		}
		if moved != "" {
			aside = append(aside, moved)
			continue
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another collector has been changing it for %v: %w", wait, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

func hold(db *sql.DB, owner string, aside []string) *lock {
	ctx, stop := context.WithCancel(context.Background())
	l := &lock{db: db, aside: aside, stop: stop}
	l.done.Add(1)
	go func() {
		defer l.done.Done()
		tick := time.NewTicker(lockBeat)
		defer tick.Stop()
		for {
			// A beat that fails is made up for by the next one.
			_, _ = db.ExecContext(ctx, "INSERT INTO passalong.migration_lock SELECT now64(3, 'UTC'), $1", owner)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	return l
}

// release has its own time: the lock is given back also when ctx has ended.
func (l *lock) release() {
	l.stop()
	l.done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, table := range append([]string{"passalong.migration_lock"}, l.aside...) {
		_, _ = l.db.ExecContext(ctx, "DROP TABLE IF EXISTS "+table+" SYNC")
	}
}

// breakStale moves the lock aside if its holder is lost, and says whereto. It
// compares times of the server with times of the server.
func breakStale(ctx context.Context, db *sql.DB) (aside string, err error) {
	stale := int(lockStale.Seconds())
	var id string
	err = db.QueryRowContext(ctx, `/* schema: breakStale */
SELECT toString(uuid) FROM system.tables
WHERE database = 'passalong' AND name = 'migration_lock' AND metadata_modification_time < now() - $1`, stale).Scan(&id)
	if err == sql.ErrNoRows {
		return "", nil // young, or gone meanwhile
	}
	if err != nil {
		return "", err
	}
	var fresh uint64
	err = db.QueryRowContext(ctx, `/* schema: breakStale */
SELECT count() FROM passalong.migration_lock WHERE beat > now64(3, 'UTC') - toIntervalSecond($1)`, stale).Scan(&fresh)
	if err != nil || fresh > 0 {
		return "", nil // gone meanwhile, or alive
	}
	aside = "passalong.`migration_lock_" + id + "`"
	if _, err := db.ExecContext(ctx, "RENAME TABLE passalong.migration_lock TO "+aside); err != nil {
		return "", nil // somebody else was faster
	}
	return aside, nil
}

func isCode(err error, code int32) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == code
}

// versions is goose's table of applied migrations, on a cluster replicated
// like the others.
type versions struct {
	database.Store
	create string
}

func newVersions(r *renderer) (*versions, error) {
	s, err := database.NewStore(goose.DialectClickHouse, "migrations")
	if err != nil {
		return nil, err
	}
	return &versions{Store: s, create: r.text(`CREATE TABLE IF NOT EXISTS passalong.migrations {{on_cluster}}
(
    version_id Int64,
    is_applied UInt8,
    date Date DEFAULT now(),
    tstamp DateTime DEFAULT now()
)
ENGINE = {{engine "MergeTree" "migrations"}}
ORDER BY version_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`)}, nil
}

// complete makes up for a crash between the making of the table and its first
// row, version 0, after which goose would refuse for ever.
func (v *versions) complete(ctx context.Context, db *sql.DB) error {
	if exists, err := v.TableExists(ctx, db); err != nil || !exists {
		return err
	}
	all, err := v.ListMigrations(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Version == 0 {
			return nil
		}
	}
	return v.Insert(ctx, db, database.InsertRequest{Version: 0})
}

func (v *versions) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	_, err := db.ExecContext(ctx, v.create)
	return err
}

// TableExists spares goose from finding out by a query that fails: clickhouse-go
// gives up the connection after one.
func (v *versions) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	var n uint64
	err := db.QueryRowContext(ctx, "SELECT count() FROM system.tables WHERE database = 'passalong' AND name = 'migrations'").Scan(&n)
	return n > 0, err
}
