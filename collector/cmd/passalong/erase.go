package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/erase"
	"github.com/passalong/passalong/collector/store"
)

type eraseCmd struct {
	Visitor string `xor:"whose" required:"" placeholder:"ID" help:"A visitor: the id that the page passed with consent, or a day's pseudonym out of the tables."`
	Token   string `xor:"whose" required:"" placeholder:"TOKEN" help:"A page view, share or short link by its token."`
}

func (eraseCmd) Help() string {
	return `Removes what is stored of a visitor, or of one page view, at the site named by --site: events, texts and nodes, from the
tables, the spool and the disk. What others were passed from there keeps its origin and depth. It reads back, and then says
what was removed. Works beside a running serve and without one. docs/reference/erase.md says what stays.

  passalong erase --site news.example --visitor member-4711
  passalong erase --site news.example --token 0Kd3hP9aQzT`
}

// Run erases beside a running serve, in whose spool some of it may wait, or
// does the work itself.
func (c eraseCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	if len(cfg.Site) != 1 {
		return errors.New("name the one site with --site news.example")
	}
	whose := erase.Subject{Site: cfg.Site[0].ID, Visitor: c.Visitor, Token: c.Token}
	if err := whose.Check(); err != nil {
		return err
	}
	started, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := eraser(started, ctx, cfg, log, whose)
	if err != nil {
		return err
	}
	if r.Found() {
		fmt.Fprintf(std.out, "removed %d events, %d texts, %d nodes; nothing is left (order %s)\n", r.Events, r.Texts, r.Nodes, r.Order)
	} else {
		fmt.Fprintf(std.out, "nothing was found: removed 0 events, 0 texts, 0 nodes (order %s)\n", r.Order)
	}
	if r.Blank > 0 {
		fmt.Fprintf(std.out, "%d nodes of cohorts stay for their other readers, without this visitor\n", r.Blank)
	}
	if r.Later > 0 {
		fmt.Fprintf(std.out, "%d events were received after the order and stay; the same command again removes them\n", r.Later)
	}
	if r.Parts > 0 {
		fmt.Fprintf(std.out, "%d old files of the tables are still on the disk; ClickHouse deletes them within minutes\n", r.Parts)
	}
	return nil
}

// eraser finds who can do it: the running serve, or the data directory, or, of
// a server that is used from elsewhere, the database alone.
func eraser(started, ctx context.Context, cfg *config.Config, log *slog.Logger, whose erase.Subject) (r erase.Result, err error) {
	if _, err := os.Stat(cfg.DataDir); errors.Is(err, os.ErrNotExist) {
		if cfg.Clickhouse == "" {
			return r, fmt.Errorf("data-dir: %w; is it the one that serve uses?", err)
		}
		return eraseElsewhere(started, ctx, cfg, log, whose)
	}
	for {
		client, err := control.Dial(cfg.DataDir)
		if err == nil {
			defer client.Close()
			return r, client.Erase(ctx, whose, &r)
		}
		if !errors.Is(err, control.ErrNotRunning) {
			return r, err
		}
		own := *cfg
		own.Site = nil // what is configured of it is not said here, and must not be written down
		s, err := open(ctx, &own, log)
		if err == nil {
			defer s.close()
			return s.erase(ctx, whose)
		}
		if !errors.Is(err, control.ErrLocked) {
			return r, err
		}
		// A serve that is just starting or ending, or another command.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-started.Done():
			return r, err
		}
	}
}

// eraseElsewhere is for a machine without a data directory: the collectors
// apply the order to what they have.
func eraseElsewhere(started, ctx context.Context, cfg *config.Config, log *slog.Logger, whose erase.Subject) (r erase.Result, err error) {
	db, err := store.Open(cfg.Clickhouse)
	if err != nil {
		return r, fmt.Errorf("clickhouse: %w", err)
	}
	defer db.Close()
	if err := db.Wait(started); err != nil {
		return r, fmt.Errorf("clickhouse: %w", err)
	}
	return erase.Run(ctx, erase.Options{Conn: db.Conn(), Cluster: cfg.Cluster, Subject: whose, Logger: log})
}

// erase carries out an order, with what waits in the spool.
func (s *stack) erase(ctx context.Context, whose erase.Subject) (r erase.Result, err error) {
	if err := s.wait(ctx); err != nil {
		return r, err
	}
	o := erase.Options{
		Conn: s.out.db.Conn(), Cluster: s.cfg.Cluster, Subject: whose, Logger: s.log,
		Flush: s.out.loader.Flush, Close: s.out.loader.Drain,
	}
	if s.out.engine != nil {
		o.Sync = s.syncData
	}
	return erase.Run(ctx, o)
}

// eraseFor is erase for a command that came by the socket.
func (s *stack) eraseFor(ctx context.Context, text json.RawMessage) (any, error) {
	var whose erase.Subject
	if err := json.Unmarshal(text, &whose); err != nil {
		return nil, fmt.Errorf("whose: %w", err)
	}
	return s.erase(ctx, whose)
}
