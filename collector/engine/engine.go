// Package engine runs ClickHouse as a supervised child process, out of
// libchdb.so: the whole of `clickhouse local`, listening on loopback.
//
// After Start has returned, the engine answers at DSN. When it dies it is
// started again, with back-off, on the same address and with the same
// passwords, so that pooled connections heal by dialling again; Generation
// tells that it happened and Ready waits for it. It is gone when Stop returns,
// and about a second after the parent died, however the parent died. Nothing
// of it is left: no process, no descriptor, no lock.
//
// Not promised: that a query survives a restart, or that an insert whose reply
// was lost did or did not happen. The package knows nothing of the schema; all
// it makes is the empty database that the DSNs name.
//
// What surprises: the binary runs itself a second time as the child, so Child
// must be the first statement of main and of every TestMain. A child of its
// own, because a fault in the library must never take the collector down, and
// because memory that a heavy query left behind goes with the process.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/passalong/passalong/collector/bundle"
)

// ErrInUse means that another process runs an engine on the same directory.
var ErrInUse = errors.New("another Passalong uses it")

// minMemory leaves room for queries: idle, ClickHouse counts some 50 MB as its
// own (measured), and one insert of 50,000 rows takes about as much again.
const minMemory = 256 << 20

// Options say where and how large. All but Dir may be left out.
type Options struct {
	Library  string       // path of libchdb.so; default: what bundle.Find finds
	Dir      string       // holds data and settings; made if missing
	TCP      string       // native protocol; default 127.0.0.1:0, port 0 being any free one
	HTTP     string       // default off; on the host of TCP
	Memory   int64        // ceiling of the engine in bytes; default 1 GiB
	Database string       // what the DSNs name; default passalong. Database_private is its twin that the reader does not see
	Logger   *slog.Logger // default slog.Default()

	// ReaderPassword is for a reader outside, as Grafana, that must be able to
	// log in again after a restart of the collector. Default: a new one at each
	// Start, as the collector's own always is.
	ReaderPassword string

	// Config is put into the server's settings as it is: XML elements below
	// <clickhouse>. For tests, as of remote_servers.
	Config string

	// StartLimit is how long one start may take before the child is killed and
	// tried again. Default 5 min, a guess: with 10 million rows it takes 0.4 s,
	// tables with very many parts after a crash have not been measured.
	StartLimit time.Duration
	// StopLimit is how long Stop waits for an orderly end. Default 30 s.
	StopLimit time.Duration
}

// An Engine is a ClickHouse that is kept running until Stop.
type Engine struct {
	o         Options // with the defaults filled in
	settings  settings
	tcp, http *reservation
	lock      *os.File
	passwords struct{ collector, reader string }

	stop context.CancelFunc // asks the supervisor to end
	done chan struct{}      // closed when it has ended
	err  error              // valid after done

	mu         sync.Mutex
	generation int
	version    string
	pid        int           // of the child that answers, else 0
	up         chan struct{} // closed while a child answers
}

// Start brings the engine up and returns when it answers. The end of ctx gives
// a start up; once Start has returned, only Stop ends the engine.
func Start(ctx context.Context, o Options) (_ *Engine, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("engine directory: %w", err)
	}
	e := &Engine{o: o, done: make(chan struct{}), up: make(chan struct{})}
	defer func() {
		if err != nil {
			e.release()
		}
	}()
	if e.lock, err = lock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("engine directory %s: %w", o.Dir, err)
	}
	if e.tcp, err = reserve(o.TCP); err != nil {
		return nil, fmt.Errorf("engine %w", err)
	}
	if o.HTTP != "" {
		if e.http, err = reserve(o.HTTP); err != nil {
			return nil, fmt.Errorf("engine HTTP %w", err)
		}
		if e.http.addr.Addr() != e.tcp.addr.Addr() {
			return nil, fmt.Errorf("engine HTTP address %s: must have the host of the native one, %s: ClickHouse opens every port on every host it listens on", o.HTTP, e.tcp.addr.Addr())
		}
	}
	if err := checkVersion(ctx, o.Library, o.Dir); err != nil {
		return nil, err
	}
	e.passwords.collector, e.passwords.reader = password(), o.ReaderPassword
	if e.passwords.reader == "" {
		e.passwords.reader = password()
	}
	e.settings = newSettings(e)
	if err := e.settings.write(o.Dir); err != nil {
		return nil, fmt.Errorf("write engine settings: %w", err)
	}
	if sandboxVersion() == 0 {
		o.Logger.Warn("this kernel has no Landlock: a query of the reader can read any file that the collector can")
	}
	c, err := e.firstStart(ctx)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	if err := recordVersion(o.Library, o.Dir, e.version); err != nil {
		return nil, errors.Join(fmt.Errorf("engine directory: %w", err), c.stop(o.StopLimit))
	}
	run, stop := context.WithCancel(context.Background())
	e.stop = stop
	go e.supervise(run, c)
	return e, nil
}

// complete fills in the defaults and looks at what can be told before a start.
func (o *Options) complete() (err error) {
	if err := Supported(); err != nil {
		return err
	}
	if o.Library == "" {
		if o.Library, err = bundle.Find(bundle.Engine); err != nil {
			return fmt.Errorf("find engine: %w", err)
		}
	}
	if info, err := os.Stat(o.Library); err != nil {
		return fmt.Errorf("engine: %w; `make build` puts the library beside the binary, setting `engine` names another place", err)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("engine %s: not a file; setting `engine` names libchdb.so itself", o.Library)
	}
	if o.Library, err = filepath.Abs(o.Library); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if o.Dir == "" {
		return errors.New("engine: no directory given")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("engine directory: %w", err)
	}
	if o.TCP == "" {
		o.TCP = "127.0.0.1:0"
	}
	if o.Memory == 0 {
		o.Memory = 1 << 30
	}
	if o.Memory < minMemory {
		return fmt.Errorf("engine memory of %d MiB: it needs at least %d MiB, set by `embedded-memory`", o.Memory>>20, minMemory>>20)
	}
	if o.Database == "" {
		o.Database = "passalong"
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.StartLimit == 0 {
		o.StartLimit = 5 * time.Minute
	}
	if o.StopLimit == 0 {
		o.StopLimit = 30 * time.Second
	}
	return nil
}

// DSN is what clickhouse-go needs to log in as the collector, who may do
// everything in the two databases.
func (e *Engine) DSN() string { return e.dsn(collectorUser, e.passwords.collector) }

// ReaderDSN is the same for the user who may read one of them.
func (e *Engine) ReaderDSN() string { return e.dsn(readerUser, e.passwords.reader) }

func (e *Engine) dsn(user, password string) string {
	addr := e.tcp.addr
	if ip := addr.Addr(); ip.IsUnspecified() {
		// Who listens everywhere is reached on loopback, which is also the only
		// place the collector's user may come from.
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if ip.Is6() {
			loopback = netip.IPv6Loopback()
		}
		addr = netip.AddrPortFrom(loopback, addr.Port())
	}
	u := url.URL{Scheme: "clickhouse", User: url.UserPassword(user, password), Host: addr.String(), Path: "/" + e.o.Database}
	return u.String()
}

// HTTP is the address of the HTTP listener, or empty.
func (e *Engine) HTTP() string {
	if e.http == nil {
		return ""
	}
	return e.http.addr.String()
}

// Version is ClickHouse's, such as 26.7.2.1.
func (e *Engine) Version() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.version
}

// Generation counts the starts that succeeded. A change means that whatever
// was under way has an unknown outcome.
func (e *Engine) Generation() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.generation
}

// PID is the process id of the child, 0 while none answers.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// Ready waits until the engine answers. At once when it does.
func (e *Engine) Ready(ctx context.Context) error {
	e.mu.Lock()
	up := e.up
	e.mu.Unlock()
	select {
	case <-e.done:
		return errors.New("engine is stopped")
	default:
	}
	select {
	case <-up:
		return nil
	case <-e.done:
		return errors.New("engine is stopped")
	case <-ctx.Done():
		return fmt.Errorf("engine is not ready: %w", context.Cause(ctx))
	}
}

// Done is closed when the engine has ended, which only Stop makes it do.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Stop ends the engine in order and returns when nothing is left of it. Close
// connections first: the engine waits a second for those that work. An error
// says that it had to be killed. A second Stop waits for the first.
func (e *Engine) Stop() error {
	e.stop()
	<-e.done
	return e.err
}

// release gives back what outlives a single child.
func (e *Engine) release() {
	e.tcp.release()
	e.http.release()
	if e.lock != nil {
		e.lock.Close() // the lock goes with it
	}
}
