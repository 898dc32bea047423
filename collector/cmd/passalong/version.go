package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/passalong/passalong/collector/config"
)

type versionCmd struct{}

// Run prints what is running here. ClickHouse's version is asked for: a running
// serve, a configured server or else the library itself answers.
func (versionCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	fmt.Fprintf(std.out, "passalong %s\ncommit %s\n", version, commit)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	clickhouse, err := clickhouseVersion(ctx, cfg)
	if err != nil {
		clickhouse = fmt.Sprintf("not known: %v", err)
	}
	fmt.Fprintf(std.out, "clickhouse %s\n", clickhouse)
	return nil
}
