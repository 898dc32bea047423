package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/store"
)

// A database is the configured ClickHouse, for commands that need nothing else.
type database struct {
	dsn    string // for changes; empty beside a running serve, which keeps it to itself
	reader string // for reading
	close  func()
}

// patience is how long a command waits for an engine that starts, or that
// another command has.
const patience = 30 * time.Second

// connect finds the configured ClickHouse: the server of the DSN, the engine of
// a running serve, or else the engine started for this command alone.
func connect(ctx context.Context, cfg *config.Config, log *slog.Logger) (*database, error) {
	if cfg.Clickhouse != "" {
		return &database{dsn: cfg.Clickhouse, reader: cfg.Clickhouse, close: func() {}}, nil
	}
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("data-dir: %w; is it the one that serve uses?", err)
	}
	for {
		db, err := connectOnce(ctx, cfg, log)
		if !errors.Is(err, control.ErrLocked) || ctx.Err() != nil {
			return db, err
		}
		// A serve that is just starting or ending, or another command.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func connectOnce(ctx context.Context, cfg *config.Config, log *slog.Logger) (*database, error) {
	client, err := control.Dial(cfg.DataDir)
	if err == nil {
		defer client.Close()
		info, err := client.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask the running serve: %w", err)
		}
		return &database{reader: info.ReaderDSN, close: func() {}}, nil
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return nil, err
	}
	unlock, err := control.Lock(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	e, err := startEngine(ctx, cfg, log)
	if err != nil {
		unlock()
		return nil, fmt.Errorf("embedded clickhouse: %w", err)
	}
	return &database{dsn: e.DSN(), reader: e.ReaderDSN(), close: func() {
		if err := e.Stop(); err != nil {
			log.Error("stop clickhouse", "err", err)
		}
		unlock()
	}}, nil
}

// clickhouseVersion asks whoever can answer without starting anything on the
// data directory.
func clickhouseVersion(ctx context.Context, cfg *config.Config) (string, error) {
	dsn := cfg.Clickhouse
	if client, err := control.Dial(cfg.DataDir); dsn == "" && err == nil {
		defer client.Close()
		info, err := client.Info(ctx)
		if err != nil {
			return "", err
		}
		dsn = info.ReaderDSN
	}
	if dsn == "" {
		library, err := libraryPath(cfg)
		if err != nil {
			return "", err
		}
		return engine.Version(ctx, library)
	}
	db, err := store.Open(dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	version, err := db.Conn().ServerVersion()
	if err != nil {
		return "", err
	}
	v := version.Version
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch), nil
}
