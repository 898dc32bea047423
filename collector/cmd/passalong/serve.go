package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/loader"
	"github.com/passalong/passalong/collector/metrics"
	"github.com/passalong/passalong/collector/replay"
	"github.com/passalong/passalong/collector/web"
	"github.com/passalong/passalong/snippet"
)

type serveCmd struct{}

func (serveCmd) Help() string {
	return `Takes beacons on listen and serves the snippet. Without clickhouse it starts a ClickHouse of its own in the data
directory. It ends in order on SIGTERM or Ctrl-C: requests in hand are answered, and what waits is loaded for some seconds.

  passalong serve --site news.example=news.example,*.news.example`
}

// Run is the collector:
//
//	reader's browser          collector                                              ClickHouse
//	┌───────────────┐ POST /e ┌─────┐ ┌────────────────────────┐ ┌─────────────┐ ┌────────┐ native ┌──────────────────┐
//	│ snippet       ├────────►│ web ├►│ intake                 ├►│spool (fsync)├►│ loader ├───────►│ events, lineage  │
//	│ token in the #│◄─ 204 ──┤     │ │ hit → site → enrich    │ │group commit │ │ batches│ count  │   └─► views      │
//	└───────────────┘         └─────┘ └────────────────────────┘ └─────────────┘ └────────┘        └──────────────────┘
//	                                  address and agent end here
func (serveCmd) Run(ctx context.Context, cfg *config.Config, std streams, log *slog.Logger) error {
	started := time.Now()
	if len(cfg.Site) == 0 {
		return errors.New("no site is configured, so every hit would be refused; give --site news.example, or [[site]] in the --config file")
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer ln.Close()

	s, err := open(ctx, cfg, log) // intake, spool, loader, ClickHouse
	if err != nil {
		return err
	}
	defer s.close()
	admin, err := adminToken(cfg, log)
	if err != nil {
		return err
	}
	figures := s.metrics()
	server, err := web.New(web.Options{
		Intake: s.intake, Spool: s.spool, Sites: s.sites,
		Ready: s.ready, Notice: s.notice,
		Script: script(), ScriptPath: cfg.ScriptPath, EndpointPath: cfg.EndpointPath, Pages: cfg.Pages,
		AdminToken: admin, TrustedProxies: cfg.TrustedProxies, Rate: web.Rate(cfg.RateLimit),
		Metrics: figures, Logger: log,
	})
	if err != nil {
		return err
	}
	listening := make(chan error, 1)
	go func() { listening <- server.Serve(ln) }()
	log.Info("taking beacons", "listen", ln.Addr().String(), "sites", len(s.sites), "took", time.Since(started).Round(time.Millisecond))

	socketCtx, closeSocket := context.WithCancel(ctx)
	socket := make(chan error, 1)
	go func() {
		defer close(socket)
		socket <- control.Serve(socketCtx, cfg.DataDir, s.handlers(ln.Addr().String()))
	}()
	go func() {
		if s.wait(ctx) == nil {
			log.Info("clickhouse is ready", "embedded", s.out.engine != nil, "took", time.Since(started).Round(time.Millisecond))
		}
	}()

	select {
	case <-ctx.Done():
		log.Info("stopping")
	case err = <-listening:
		err = fmt.Errorf("serve: %w", err)
	case err = <-socket:
		if err != nil {
			err = fmt.Errorf("socket: %w", err)
		}
	case <-s.out.failed:
		err = s.out.err
	case <-s.spool.Failed():
		err = s.spool.Err()
	}
	closeSocket()
	for range socket { // an import that is cut must have let go of the spool
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := server.Shutdown(stop); e != nil {
		log.Warn("requests were cut", "err", e)
	}
	if err == nil {
		s.drain(10 * time.Second)
	}
	return err
}

// ready is the reason why beacons are not taken, or "".
func (s *stack) ready() string {
	if st := s.spool.Stats(); st.Failed {
		return "spool has failed"
	} else if st.Full != "" {
		return "spool is full: " + st.Full
	}
	return ""
}

// notice is what is the matter although beacons are taken, or "".
func (s *stack) notice() string {
	select {
	case <-s.out.up:
		if why := s.out.loader.Stats().Trouble; why != loader.ClassNone {
			return "loading waits: " + string(why)
		}
	default:
		return "loading waits: clickhouse is not up yet"
	}
	return ""
}

func script() web.Script {
	return web.Script{
		Body: snippet.Script(), Brotli: snippet.Brotli(), Gzip: snippet.Gzip(), Hash: snippet.Hash(),
	}
}

// metrics says where the figures come from.
func (s *stack) metrics() *metrics.Metrics {
	m := metrics.New(metrics.Options{Version: version, Commit: commit, Sites: slices.Sorted(maps.Keys(s.sites))})
	m.Spool(func() metrics.SpoolStats {
		st := s.spool.Stats()
		out := metrics.SpoolStats{Rows: int64(st.Rows), Bytes: st.StoredBytes, Full: st.Full != "", FreeDisk: st.FreeDisk, SetAside: len(st.SetAside)}
		if st.OldestReceived > 0 {
			out.Oldest = time.UnixMilli(st.OldestReceived)
		}
		return out
	})
	m.Loader(func() metrics.LoaderStats {
		select {
		case <-s.out.up:
		default:
			return metrics.LoaderStats{State: "waiting", Reason: "connection"}
		}
		st := s.out.loader.Stats()
		return metrics.LoaderStats{
			Batches: st.Batches, Rows: st.Rows, Nodes: st.Nodes, Repaired: st.Repaired, Retries: st.Retries, Recounts: st.Recounts,
			Quarantined: uint64(st.Quarantined), Lag: st.Lag, State: st.State, Reason: string(st.Trouble),
		}
	})
	if s.cfg.Clickhouse == "" {
		m.Engine(func() metrics.EngineStats {
			select {
			case <-s.out.up:
			default:
				return metrics.EngineStats{}
			}
			return metrics.EngineStats{Up: s.engineUp(), Restarts: max(0, s.out.engine.Generation()-1)}
		})
	}
	return m
}

// engineUp reports whether the engine answers now.
func (s *stack) engineUp() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	return s.out.engine.Ready(ctx) == nil
}

// handlers answers the commands that find this serve by its socket.
func (s *stack) handlers(listen string) control.Handlers {
	return control.Handlers{
		Info: func(ctx context.Context) (control.Info, error) {
			if err := s.wait(ctx); err != nil {
				return control.Info{}, err
			}
			return control.Info{Version: version, Listen: listen, ReaderDSN: s.out.reader}, nil
		},
		Import: func(ctx context.Context, r io.Reader, progress func(control.Progress)) (any, error) {
			return s.replay(ctx, r, func(p replay.Progress) { progress(control.Progress(p)) })
		},
		Flush: s.flush,
		Erase: s.eraseFor,
	}
}

// adminToken is the configured one, or one made at the first start and kept.
func adminToken(cfg *config.Config, log *slog.Logger) (string, error) {
	if cfg.AdminToken != "" {
		return cfg.AdminToken, nil
	}
	path := filepath.Join(cfg.DataDir, "admin-token")
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) >= 16 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("admin-token: %w", err)
	}
	token := rand.Text()
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("admin-token: %w", err)
	}
	log.Info("made an admin token", "file", path)
	return token, nil
}
