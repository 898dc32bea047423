// Package store is the way to ClickHouse: connections for those who write, and
// read-only queries whose answer is printed in any of ClickHouse's formats.
//
// A caller can rely on this: Open does not wait for a server and never fails
// because one is away; connections are made when they are needed and made
// again after a restart. WriteQuery changes nothing, whoever the user is: the
// server is told so with each query.
//
// Not promised: that a statement sent through Conn is tried again. What its
// failure means is for the caller to judge; the loader counts.
//
// The package knows no view and no table but the one of the salts. What
// surprises: ClickHouse formats an answer on the client's side, which
// clickhouse-go does not do, so WriteQuery has the server print each row into a
// string, see print.go.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A DB is a pool of connections to one ClickHouse. It is safe for use by
// several goroutines.
type DB struct {
	// Convert turns rows in the format RowBinary into another, for formats that
	// WriteQuery cannot print row by row: Pretty, JSON, Parquet and the like.
	// structure names and types the columns. It is engine.Convert; nil: such
	// formats are refused. Set it before the first query.
	Convert func(ctx context.Context, rows io.Reader, structure string, out io.Writer, format string) error

	conn    driver.Conn
	options clickhouse.Options
}

// Open reads a DSN as clickhouse-go does, as
// clickhouse://user:password@host:9000/passalong. What it leaves out is filled
// in with what suits the collector: LZ4, the database passalong, and limits of
// the pool.
func Open(dsn string) (*DB, error) {
	switch scheme, _, _ := strings.Cut(dsn, "://"); scheme {
	case "clickhouse", "tcp":
	case "http", "https":
		return nil, errors.New("dsn: Passalong speaks the native protocol only; give clickhouse://user:password@host:9000/passalong, with TLS …:9440/passalong?secure=true")
	default:
		return nil, errors.New("dsn: it reads clickhouse://user:password@host:9000/passalong")
	}
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		// The parser quotes the DSN, and with it the password.
		if x, ok := errors.AsType[*url.Error](err); ok {
			err = x.Err
		}
		return nil, fmt.Errorf("dsn: %w; it reads clickhouse://user:password@host:9000/passalong", err)
	}
	if len(o.Addr) == 0 || slices.Contains(o.Addr, "") {
		return nil, errors.New("dsn: no host; it reads clickhouse://user:password@host:9000/passalong")
	}
	if o.Auth.Database == "" {
		o.Auth.Database = "passalong"
	}
	if o.Compression == nil {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 5 * time.Second // a guess: a server that takes longer is as good as away
	}
	if o.MaxOpenConns == 0 {
		o.MaxOpenConns = 16 // the loader needs two; the rest is for people
	}
	if o.MaxIdleConns == 0 {
		o.MaxIdleConns = 4
	}
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime = time.Hour // so that a server behind a balancer can be drained
	}
	o.DialContext = dial(writeLimit, o.DialTimeout, o.TLS)
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, fmt.Errorf("dsn: %w", err)
	}
	return &DB{conn: conn, options: *o}, nil
}

// Conn is the pool itself.
func (db *DB) Conn() driver.Conn { return db.conn }

// Close closes the connections. Queries under way end with an error.
func (db *DB) Close() error { return db.conn.Close() }

// final are the answers for which it is no use to wait: the operator must
// change something.
var final = map[int32]string{
	192: "unknown user",
	193: "wrong password",
	194: "password needed",
	195: "address not allowed",
	516: "user or password is wrong",
	497: "the user may not log in or create the database",
}

const unknownDatabase = 81

// Wait returns when ClickHouse answers. A database that is not there yet is
// created: without it nobody can log in to create it. Wait gives up when ctx
// ends, and at once when the server refuses the user.
func (db *DB) Wait(ctx context.Context) error {
	backoff := 20 * time.Millisecond
	for {
		err := db.conn.Ping(ctx)
		if codeOf(err) == unknownDatabase {
			if err = db.createDatabase(ctx); err == nil {
				err = db.conn.Ping(ctx)
			}
		}
		if err == nil {
			return nil
		}
		if why := final[codeOf(err)]; why != "" {
			return fmt.Errorf("log in: %s: %w", why, Plain(err))
		}
		t := time.NewTimer(backoff/2 + rand.N(backoff/2))
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("no answer: %w (%w)", context.Cause(ctx), Plain(err))
		case <-t.C:
		}
		backoff = min(2*backoff, time.Second)
	}
}

// createDatabase does so over a connection of its own that names none.
func (db *DB) createDatabase(ctx context.Context) error {
	o := db.options
	name := o.Auth.Database
	o.Auth.Database = "system" // is always there
	o.MaxOpenConns, o.MaxIdleConns = 1, 1
	conn, err := clickhouse.Open(&o)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+identifier(name)); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}
