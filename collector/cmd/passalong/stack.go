package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/passalong/passalong/collector/bundle"
	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/geo"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/loader"
	"github.com/passalong/passalong/collector/salt"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/spool"
	"github.com/passalong/passalong/collector/store"
	"github.com/passalong/passalong/schema"
)

// A stack is everything behind the web: intake ─► spool ─► loader ─► ClickHouse.
// Whoever has it holds the lock of the data directory. The way in (intake,
// spool) works as soon as open returns; the way out comes up beside it.
type stack struct {
	cfg   *config.Config
	log   *slog.Logger
	sites site.Set

	unlock func()
	spool  *spool.Spool
	salts  *salt.Book
	places *geo.DB
	intake *intake.Intake

	out     out
	stopOut context.CancelFunc
	ended   sync.WaitGroup
}

// out is the way out: what is known once ClickHouse answers.
type out struct {
	up     chan struct{} // closed when the fields below it are set and the loader runs
	failed chan struct{} // closed when it cannot come up at all; err says why
	err    error

	engine *engine.Engine // nil with a DSN
	dsn    string
	db     *store.DB
	loader *loader.Loader
	reader string // DSN for reading
}

// open takes the data directory and makes the way in ready.
func open(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *stack, err error) {
	s := &stack{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.sites, err = cfg.Sites(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data-dir: %w", err)
	}
	if s.unlock, err = control.Lock(cfg.DataDir); err != nil {
		return nil, err
	}
	if s.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(cfg.DataDir, "spool"), Limit: int64(cfg.SpoolLimit), Version: version, Logger: log,
	}); err != nil {
		return nil, err
	}
	path := cfg.Geoip
	if path == "" {
		if path, err = bundle.Find(bundle.Country); err != nil {
			return nil, fmt.Errorf("countries: %w", err)
		}
	}
	if s.places, err = geo.Open(path); err != nil {
		return nil, fmt.Errorf("geoip: %w", err)
	}
	var shared salt.Remote // with a server there may be several collectors
	if cfg.Clickhouse != "" {
		if s.out.db, err = store.Open(cfg.Clickhouse); err != nil {
			return nil, fmt.Errorf("clickhouse: %w", err)
		}
		shared = s.out.db.Salts(cfg.Cluster)
	}
	if s.salts, err = salt.Open(filepath.Join(cfg.DataDir, "salts"), time.Now, shared); err != nil {
		return nil, fmt.Errorf("salts: %w", err)
	}
	enricher, err := enrich.New(enrich.Options{Geo: s.places, Salts: s.salts})
	if err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	s.intake = intake.New(intake.Options{Sites: s.sites, Enricher: enricher, Links: &links{stack: s}, Retention: cfg.Retention.Before})

	ctx, s.stopOut = context.WithCancel(context.WithoutCancel(ctx)) // the way out ends in close, after the way in
	s.out.up, s.out.failed = make(chan struct{}), make(chan struct{})
	s.ended.Add(2)
	go func() {
		defer s.ended.Done()
		s.load(ctx)
	}()
	go func() {
		defer s.ended.Done()
		s.keepHouse(ctx)
	}()
	return s, nil
}

// load brings ClickHouse up and moves what waits in the spool, until ctx ends.
func (s *stack) load(ctx context.Context) {
	if err := s.connect(ctx); err != nil {
		if ctx.Err() == nil {
			s.out.err = err
			close(s.out.failed)
		}
		return
	}
	o := loader.Options{
		Spool: s.spool, DB: s.out.db, Cluster: s.cfg.Cluster,
		FlushInterval: s.cfg.FlushInterval, FlushRows: s.cfg.FlushRows,
		Retention:  func() time.Time { return schema.Oldest(s.cfg.Retention.Before(time.Now())) },
		Quarantine: filepath.Join(s.cfg.DataDir, "quarantine"), Logger: s.log,
	}
	if s.out.engine != nil {
		o.Alone, o.Generation, o.Sync = true, s.out.engine.Generation, s.syncData
	}
	l, err := loader.New(o)
	if err != nil {
		s.out.err = err
		close(s.out.failed)
		return
	}
	s.out.loader = l
	close(s.out.up)
	s.ended.Add(1)
	go func() {
		defer s.ended.Done()
		s.retain(ctx)
	}()
	if err := s.out.loader.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		// Only a new start that reads the spool again can go on.
		s.out.err = fmt.Errorf("loader: %w", err)
		close(s.out.failed)
	}
}

// connect starts the engine, or finds the server, and applies the schema. A
// server that is away is waited for; what only the operator can mend is an error.
func (s *stack) connect(ctx context.Context) (err error) {
	dsn := s.cfg.Clickhouse
	s.out.reader = dsn
	if dsn == "" {
		if s.out.engine, err = startEngine(ctx, s.cfg, s.log); err != nil {
			return fmt.Errorf("embedded clickhouse: %w", err)
		}
		dsn, s.out.reader = s.out.engine.DSN(), s.out.engine.ReaderDSN()
		if s.out.db, err = store.Open(dsn); err != nil {
			return fmt.Errorf("clickhouse: %w", err)
		}
	}
	s.out.dsn = dsn
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		answers, stop := context.WithTimeout(ctx, 5*time.Second) // then the log says what is the matter
		err = s.out.db.Wait(answers)
		stop()
		if err == nil && s.out.engine != nil {
			err = s.room()
		}
		if err == nil {
			if err = applySchema(ctx, s.cfg, s.sites, dsn, s.log); err == nil {
				if err := s.salts.Sweep(); err != nil { // what was made before there was a table for it
					s.log.Warn("salts", "err", err)
				}
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.Warn("clickhouse is not ready; beacons are taken, nothing is loaded yet", "err", err, "again", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// room says whether the engine's disk has some left. Without it ClickHouse can
// leave the definition of a table as an empty file, and would not start again.
func (s *stack) room() error {
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Join(s.cfg.DataDir, "clickhouse"), &disk); err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	// What definitions and their logs take is some kilobytes; the rest is for
	// what is written beside them. A guess.
	if free, want := disk.Bavail, min(disk.Blocks/16, (64<<20)/uint64(disk.Bsize)); free < want {
		return fmt.Errorf("the disk is full: %d MiB are free, the schema is written from %d MiB on", free*uint64(disk.Bsize)>>20, want*uint64(disk.Bsize)>>20)
	}
	return nil
}

func applySchema(ctx context.Context, cfg *config.Config, sites site.Set, dsn string, log *slog.Logger) error {
	o := schema.Options{Cluster: cfg.Cluster, Logger: log}
	for _, one := range sites {
		o.Sites = append(o.Sites, schema.Site{ID: one.ID, Currency: one.Currency, Timezone: one.Location.String(), Privacy: string(one.Privacy)})
	}
	return schema.Apply(ctx, dsn, o)
}

// startEngine starts the embedded ClickHouse on the data directory.
func startEngine(ctx context.Context, cfg *config.Config, log *slog.Logger) (*engine.Engine, error) {
	library, err := libraryPath(cfg)
	if err != nil {
		return nil, err
	}
	return engine.Start(ctx, engine.Options{
		Library: library, Dir: filepath.Join(cfg.DataDir, "clickhouse"), TCP: cfg.EmbeddedTCP, HTTP: cfg.EmbeddedHTTP,
		Memory: int64(cfg.EmbeddedMemory), Logger: log,
	})
}

// retain drops the months that are older than the retention, at the start and
// then every six hours. What is open is closed first: from then on the loader
// leaves out what is too old.
func (s *stack) retain(ctx context.Context) {
	tick := time.NewTicker(6 * time.Hour)
	defer tick.Stop()
	for {
		if n, err := schema.Retain(ctx, s.out.dsn, s.cfg.Cluster, s.cfg.Retention.Before(time.Now()), s.flush); err != nil && ctx.Err() == nil {
			s.log.Warn("retention", "err", err)
		} else if n > 0 {
			s.log.Info("dropped what is older than the retention", "partitions", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// libraryPath is the configured engine or the bundled one.
func libraryPath(cfg *config.Config) (string, error) {
	if cfg.Engine != "" {
		return cfg.Engine, nil
	}
	return bundle.Find(bundle.Engine)
}

// syncData makes what the engine has written durable: the whole file system that
// its directory is on.
func (s *stack) syncData() error {
	dir, err := os.Open(filepath.Join(s.cfg.DataDir, "clickhouse"))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// keepHouse makes tomorrow's salts and deletes what is due, once a minute.
func (s *stack) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := s.salts.Sweep(); err != nil {
			s.log.Warn("salts", "err", err)
		}
		if err := s.spool.Forget(day(s.cfg.Retention.Before(time.Now()))); err != nil {
			s.log.Warn("forget old import lines", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func day(t time.Time) int32 { return int32(t.Unix() / 86400) }

// wait returns when the way out is up.
func (s *stack) wait(ctx context.Context) error {
	select {
	case <-s.out.up:
		return nil
	case <-s.out.failed:
		return s.out.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flush returns when everything taken so far is in every view.
func (s *stack) flush(ctx context.Context) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.out.loader.Flush(ctx)
}

// drain loads what waits, for at most limit. The rest stays in the spool for
// the next start.
func (s *stack) drain(limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if s.spool.Stats().Rows == 0 {
		return
	}
	if err := s.flush(ctx); err != nil {
		s.log.Warn("stopping with rows in the spool; the next start loads them", "rows", s.spool.Stats().Rows, "err", err)
	}
}

// patienceAtEnd is more than the loader gives the batch in hand.
const patienceAtEnd = 15 * time.Second

// close ends everything in the order of the way.
func (s *stack) close() {
	if s.stopOut != nil {
		s.stopOut()
	}
	ended := make(chan struct{})
	go func() {
		s.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patienceAtEnd):
		// On a full disk the loader waits inside the spool until a byte can be
		// written; closing the spool lets it go.
	}
	step := func(name string, err error) {
		if err != nil {
			s.log.Error("close "+name, "err", err)
		}
	}
	if s.spool != nil {
		step("spool", s.spool.Close())
	}
	<-ended
	if s.out.db != nil {
		step("clickhouse", s.out.db.Close())
	}
	if s.out.engine != nil {
		step("engine", s.out.engine.Stop())
	}
	if s.unlock != nil {
		s.unlock()
	}
}
