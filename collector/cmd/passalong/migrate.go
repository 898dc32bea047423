package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/passalong/passalong/collector/config"
)

type migrateCmd struct{}

func (migrateCmd) Help() string {
	return `serve applies the schema at its start, so this is for whoever wants it done before: a deployment that gives the collector
a user without the right to change tables, or a look at what a new version brings.`
}

// Run applies the schema and ends.
func (migrateCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	db, err := connect(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.close()
	if db.dsn == "" {
		fmt.Fprintln(std.out, "the running serve applied the schema at its start")
		return nil
	}
	sites, err := cfg.Sites()
	if err != nil {
		return err
	}
	if err := applySchema(ctx, cfg, sites, db.dsn, log); err != nil {
		return err
	}
	fmt.Fprintln(std.out, "the schema is up to date")
	return nil
}
