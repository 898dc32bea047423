package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/store"
)

type sqlCmd struct {
	Query  string `arg:"" help:"The query; it can only read."`
	Format string `default:"TSVWithNames" placeholder:"NAME" help:"Any ClickHouse output format: TSVWithNames, CSVWithNames, JSON, JSONEachRow, Pretty, Markdown …"`
}

func (sqlCmd) Help() string {
	return `Works beside a running serve, and without one: then the engine is started for this query.

  passalong sql 'select * from nodes order by time'
  passalong sql --format Pretty 'select source, sum(confidence) from attribution group by source'`
}

// convert prints the formats that are more than their rows by a short-lived
// engine; nil without its library.
func convert(cfg *config.Config) func(context.Context, io.Reader, string, io.Writer, string) error {
	library, err := libraryPath(cfg)
	if err != nil {
		return nil
	}
	return func(ctx context.Context, rows io.Reader, structure string, out io.Writer, format string) error {
		return engine.Convert(ctx, library, rows, structure, out, format)
	}
}

// Run prints what the query answers.
func (c sqlCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	started, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	found, err := connect(started, cfg, log)
	if err != nil {
		return err
	}
	defer found.close()
	db, err := store.Open(found.reader)
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	defer db.Close()
	db.Convert = convert(cfg)
	if err := db.Wait(started); err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	if err := db.WriteQuery(ctx, out, c.Query, c.Format); err != nil {
		out.Flush() // what came before the error is of use; the error is what counts
		return err
	}
	return out.Flush()
}
