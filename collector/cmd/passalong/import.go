package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/mattn/go-isatty"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/replay"
)

type importCmd struct {
	Files  []string `arg:"" name:"file" help:"NDJSON files of visits; - is standard input."`
	Strict bool     `help:"Exit with an error when a line was rejected."`
}

func (importCmd) Help() string {
	return `Each line takes the way of a beacon, and its time stands for the clock. Works beside a running serve (whose settings
decide) and without one. The same line is taken once, however often it is imported. It returns when every view shows it.
docs/reference/import.md draws a line.`
}

// Run replays the files one after the other.
func (c importCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	send, done, err := importer(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer done()
	rejected := 0
	for _, name := range c.Files {
		file, size, err := openInput(name, std.in)
		if err != nil {
			return err
		}
		bar := newProgress(std.err, size, log)
		sum, err := send(ctx, file, bar.set)
		bar.finish()
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		print(std.out, name, sum)
		rejected += int(sum.Rejected)
	}
	if c.Strict && rejected > 0 {
		return fmt.Errorf("%d lines were rejected", rejected)
	}
	return nil
}

type sender func(context.Context, io.Reader, func(replay.Progress)) (replay.Summary, error)

// importer sends lines to a running serve, or does the work itself.
func importer(ctx context.Context, cfg *config.Config, log *slog.Logger) (send sender, done func(), err error) {
	client, err := control.Dial(cfg.DataDir)
	if err == nil {
		return func(ctx context.Context, r io.Reader, progress func(replay.Progress)) (sum replay.Summary, err error) {
			err = client.Import(ctx, r, func(p control.Progress) { progress(replay.Progress(p)) }, &sum)
			return sum, err
		}, func() { client.Close() }, nil
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return nil, nil, err
	}
	if len(cfg.Site) == 0 {
		return nil, nil, fmt.Errorf("no serve runs on %s and no site is configured, so every line would be refused; give the --data-dir of serve, or --site", cfg.DataDir)
	}
	s, err := open(ctx, cfg, log)
	if err != nil {
		return nil, nil, err
	}
	return s.replay, s.close, nil
}

// replay takes lines and returns when every view shows them.
func (s *stack) replay(ctx context.Context, r io.Reader, progress func(replay.Progress)) (replay.Summary, error) {
	return replay.Run(ctx, r, replay.Options{
		Import: s.intake.Import(), Spool: s.spool, Flush: s.flush, Progress: progress,
	})
}

func openInput(name string, stdin io.Reader) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// print says what became of the lines.
func print(w io.Writer, name string, sum replay.Summary) {
	fmt.Fprintf(w, "%s: %d lines taken, %d rejected, %d duplicate\n", name, sum.Taken, sum.Rejected, sum.Duplicate)
	for _, r := range sum.Rejections {
		fmt.Fprintf(w, "  %v\n", r)
	}
	if int(sum.Rejected) > len(sum.Rejections) {
		fmt.Fprintf(w, "  …\n")
		for _, r := range sum.Reasons {
			fmt.Fprintf(w, "  %d lines: %s: %s\n", r.Lines, r.Field, r.Problem)
		}
	}
}

// progress is a bar on a terminal and a log line every ten seconds elsewhere.
type progress struct {
	bar  *pb.ProgressBar
	log  *slog.Logger
	next time.Time
}

func newProgress(w io.Writer, size int64, log *slog.Logger) *progress {
	p := &progress{log: log, next: time.Now().Add(10 * time.Second)}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.bar = pb.Full.New(0).SetTotal(size).Set(pb.Bytes, true).SetWriter(w).Start()
	}
	return p
}

func (p *progress) set(now replay.Progress) {
	if p.bar != nil {
		p.bar.SetCurrent(now.Bytes)
		return
	}
	if time.Now().After(p.next) {
		p.next = time.Now().Add(10 * time.Second)
		p.log.Info("importing", "lines", now.Lines)
	}
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Finish()
	}
}
