// Package schema brings a ClickHouse to the tables and views that this version
// of Passalong reads and writes.
//
// A caller can rely on this: Apply may run at every start and from several
// collectors at once; one at a time changes anything, the others wait and find
// the work done. It makes both databases. Migrations are applied once, in
// order; functions and views are put in place anew each time, so that editing
// one needs no migration.
//
// Not promised: that an older version can read what a newer one has migrated,
// and that the replicated form works on a given cluster. It is reviewed as
// text; no cluster is at hand in the tests.
//
// What surprises: the SQL files are templates. `{{engine "MergeTree" "events"}}`
// is a plain engine on one server and a replicated one on a cluster, where
// every table has a twin named `…_local`. Tables of facts (facts/*.tsv) are
// rendered into the SQL functions, so the database needs no file.
package schema

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql views/*.sql facts/*.tsv
var files embed.FS

// Options of Apply. The zero value is right for one server.
type Options struct {
	// Cluster is the name of a ClickHouse cluster. Empty: one server.
	Cluster string
	// Sites are written to the table `sites`, from which the views read a
	// site's currency. Sites that are not among them stay as they are.
	Sites []Site
	// Wait is how long to wait for another collector that is applying the
	// schema. Default 2 minutes.
	Wait time.Duration
	// Logger gets one line for each migration. Default slog.Default().
	Logger *slog.Logger
}

// A Site is what the views know of a configured site.
type Site struct {
	ID       string
	Currency string // ISO 4217; empty: EUR
	Timezone string // empty: UTC
	Privacy  string // full, strict or consent; empty: full
}

// Apply brings the server of dsn up to date. The database that dsn names need
// not exist yet.
func Apply(ctx context.Context, dsn string, o Options) error {
	if o.Wait == 0 {
		o.Wait = 2 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r, err := newRenderer(o.Cluster)
	if err != nil {
		return err
	}
	opt, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		return fmt.Errorf("read dsn: %w", err)
	}

	// A session cannot begin in a database that is not there yet.
	opt.Auth.Database = "system"
	if opt.Settings == nil {
		opt.Settings = clickhouse.Settings{}
	}
	opt.Settings["async_insert"] = 0
	first := clickhouse.OpenDB(opt)
	_, err = first.ExecContext(ctx, r.text("CREATE DATABASE IF NOT EXISTS passalong {{on_cluster}}"))
	first.Close()
	if err != nil {
		return fmt.Errorf("create database passalong: %w", err)
	}
	opt.Auth.Database = "passalong"
	db := clickhouse.OpenDB(opt)
	defer db.Close()

	l, err := acquire(ctx, db, o.Wait)
	if err != nil {
		return fmt.Errorf("wait for the schema: %w", err)
	}
	defer l.release()
	if err := migrate(ctx, db, r, o); err != nil {
		return err
	}
	if err := replaceViews(ctx, db, r); err != nil {
		return err
	}
	return putSites(ctx, db, o.Sites)
}

// migrate runs what has not run yet. The lock is held by the caller, because
// the views are put in place under it too; goose needs none of its own.
func migrate(ctx context.Context, db *sql.DB, r *renderer, o Options) error {
	migrations, err := fs.Sub(r.fs(), "migrations")
	if err != nil {
		return err
	}
	store, err := newVersions(r)
	if err != nil {
		return err
	}
	if err := store.complete(ctx, db); err != nil {
		return fmt.Errorf("table of versions: %w", err)
	}
	p, err := goose.NewProvider("", db, migrations, goose.WithStore(store), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	done, err := p.Up(ctx)
	for _, m := range done {
		o.Logger.Info("migration applied", "file", path.Base(m.Source.Path), "took", m.Duration.Round(time.Millisecond))
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// replaceViews puts every function and view in place, in the order of the
// file names. Functions come first: a view keeps the text that its functions
// had when it was made.
func replaceViews(ctx context.Context, db *sql.DB, r *renderer) error {
	names, err := viewFiles()
	if err != nil {
		return err
	}
	texts := make([]string, len(names))
	digest := sha256.New()
	for i, name := range names {
		if texts[i], err = r.file(name); err != nil {
			return fmt.Errorf("render %s: %w", name, err)
		}
		fmt.Fprintf(digest, "%s\x00%s\x00", name, texts[i])
	}
	want := hex.EncodeToString(digest.Sum(nil))
	if there, err := viewsAsOf(ctx, db); err != nil {
		return fmt.Errorf("look at the views: %w", err)
	} else if there == fmt.Sprintf("%s %d", want, len(names)) {
		return nil
	}
	for i, text := range texts {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("replace %s: %w", names[i], err)
		}
	}
	_, err = db.ExecContext(ctx, r.text("CREATE OR REPLACE VIEW passalong_private.views_written {{on_cluster}} AS SELECT '"+want+"' AS digest"))
	if err != nil {
		return fmt.Errorf("note the views: %w", err)
	}
	return nil
}

// viewsAsOf returns the digest of the texts that the views and functions were
// last made of, and how many of them are there. What is as it should be is not
// written anew at each start: on a full disk ClickHouse can leave an empty
// definition behind, and would not start again.
func viewsAsOf(ctx context.Context, db *sql.DB) (digest string, err error) {
	var written, number uint64
	err = db.QueryRowContext(ctx, `/* schema: viewsAsOf */
SELECT countIf(database = 'passalong_private' AND name = 'views_written'),
    countIf(database = 'passalong' AND engine = 'View') + (SELECT count() FROM system.functions WHERE origin = 'SQLUserDefined')
FROM system.tables WHERE database IN ('passalong', 'passalong_private')`).Scan(&written, &number)
	if err != nil || written == 0 {
		return "", err
	}
	if err := db.QueryRowContext(ctx, "/* schema: viewsAsOf */ SELECT digest FROM passalong_private.views_written").Scan(&digest); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d", digest, number), nil
}

func viewFiles() ([]string, error) {
	names, err := fs.Glob(files, "views/*.sql")
	slices.Sort(names)
	return names, err
}

// putSites says anew what is configured of the sites that changed.
func putSites(ctx context.Context, db *sql.DB, sites []Site) error {
	for _, s := range sites {
		if s.Currency == "" {
			s.Currency = "EUR"
		}
		if s.Timezone == "" {
			s.Timezone = "UTC"
		}
		if s.Privacy == "" {
			s.Privacy = "full"
		}
		if _, err := db.ExecContext(ctx, `/* schema: putSites */
INSERT INTO sites (site, currency, timezone, privacy, said)
SELECT $1, $2, $3, $4, now64(3, 'UTC')
WHERE ($1, $2, $3, $4) NOT IN (SELECT site, currency, timezone, privacy FROM sites FINAL)`,
			s.ID, strings.ToUpper(s.Currency), s.Timezone, s.Privacy); err != nil {
			return fmt.Errorf("write site %s: %w", s.ID, err)
		}
	}
	return nil
}
