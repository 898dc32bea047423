// Command passalong shows who reads a page because somebody sent it.
//
// One binary, one file a command. main does nothing but call run, which the
// tests call as well. Settings are in package config; how the parts are put
// together is drawn in serve.go. What surprises: the binary starts itself a
// second time as the embedded ClickHouse (package engine), so the first line
// of main belongs to that child.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/engine"
)

// Set when linking; see the Makefile.
var (
	version = "unknown"
	commit  = "unknown"
)

// garbage is how much more memory, in percent of what is in use, may be filled
// before garbage is collected. Half of what is in use are the spool's tables in
// memory, which cost the collector nothing to look at; with Go's 100 serve had
// some 40 MB more at its highest rate, and took 2 to 3 % less of the processor.
//
// There is no limit of memory beside it: an import needs more than any that
// would be of use here, and near its limit Go spends half the processor on
// collecting.
const garbage = 50

func main() {
	engine.Child()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// cli is the command line. The settings are valid for every command.
type cli struct {
	File config.File `name:"config" placeholder:"FILE" help:"A TOML file of settings. Flags and PASSALONG_* variables beat it."`
	config.Config

	Serve   serveCmd   `cmd:"" help:"Run the collector."`
	Migrate migrateCmd `cmd:"" help:"Apply the schema. serve does it too; safe from several collectors at once."`
	Import  importCmd  `cmd:"" help:"Replay visits from NDJSON files, as if they arrived at the time they give."`
	Erase   eraseCmd   `cmd:"" help:"Remove what is stored of a visitor or of a page view."`
	Sql     sqlCmd     `cmd:"" help:"Run a read-only query on the configured ClickHouse."`
	Version versionCmd `cmd:"" help:"Print version, commit and ClickHouse's version."`
}

// exit carries the code with which kong wants to end, as it does for --help.
type exit int

func run(ctx context.Context, args []string, io streams) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("passalong"),
		kong.Description("Shows publishers and shops who reads a page because somebody sent it: through which channel, from whom to whom, and what it sold."),
		kong.DefaultEnvars(config.EnvPrefix),
		kong.Configuration(config.Load),
		kong.Writers(io.out, io.err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.UsageOnError(),
	)
	if err != nil {
		return fail(io, err)
	}
	if path, ok := os.LookupEnv(config.EnvPrefix + "_CONFIG"); ok && !given(args, "--config") {
		args = append([]string{"--config", path}, args...)
	}
	command, err := parser.Parse(args)
	if err != nil {
		var wrong *kong.ParseError
		if errors.As(err, &wrong) && len(args) == 0 {
			_ = wrong.Context.PrintUsage(false)
			return 2
		}
		fail(io, err)
		return 2
	}
	log := logger(io.err, c.LogLevel)
	for _, odd := range config.UnknownEnv(parser.Model, os.Environ()) {
		log.Warn("environment: " + odd)
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(&c.Config, io, log); err != nil {
		return fail(io, err)
	}
	return 0
}

// given reports whether a flag stands on the command line.
func given(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || len(a) > len(flag) && a[:len(flag)+1] == flag+"=" {
			return true
		}
	}
	return false
}

// fail prints one error for the operator.
func fail(io streams, err error) int {
	fmt.Fprintf(io.err, "passalong: %v\n", err)
	return 1
}

// logger writes for people on a terminal and key=value elsewhere.
func logger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // the setting allows only what this reads
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: l, TimeFormat: "15:04:05.000"}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}
