package torture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// A setup says how a collector is started. Only dir is needed.
type setup struct {
	dir    string   // the data directory
	args   []string // settings, after those that every collector here has
	wrap   []string // a command that is put before it and keeps its pid, as strace -D does
	env    []string
	binary string // another build; default: binary(t)
}

// A collector is a running `passalong serve`. Its methods are for the test's
// own goroutine, except the ones that say otherwise.
type collector struct {
	testing.TB
	setup
	cmd     *exec.Cmd
	address string // host:port
	log     *diary
	ended   chan struct{} // closed when the process is gone
	err     error         // how it ended; valid after ended
}

// start starts a collector and does not wait for anything.
func start(t testing.TB, s setup) *collector {
	t.Helper()
	country, err := filepath.Abs("../../bin/country.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	if s.binary == "" {
		s.binary = binary(t)
	}
	args := append(s.wrap[:len(s.wrap):len(s.wrap)], s.binary, "serve", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--rate-limit", "1000000/s", "--flush-interval", "50ms")
	args = append(args, s.args...)
	c := &collector{TB: t, setup: s, cmd: exec.Command(args[0], args[1:]...), log: newDiary(), ended: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), "PASSALONG_ENGINE="+enginetest.Library(t), "PASSALONG_GEOIP="+country), s.env...)
	c.cmd.Stderr = c.log
	// A test binary that is ended by its time limit leaves nothing behind. The
	// signal comes with the end of the thread that started the process; Go keeps
	// its threads as long as nobody locks one for good.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		c.log.end()
		close(c.ended)
	}()
	t.Cleanup(func() { // a test that has failed leaves no process behind
		c.kill()
		if t.Failed() {
			t.Logf("the log of process %d, its end:\n%s", c.pid(), c.log.tail(40))
		}
	})
	return c
}

// serve starts a collector and returns when it takes beacons. The engine may
// still be starting: see ready.
func serve(t testing.TB, s setup) *collector {
	t.Helper()
	return start(t, s).found()
}

// found waits until it takes beacons and reads its address.
func (c *collector) found() *collector {
	c.Helper()
	line := c.await("taking beacons")
	m := listening.FindStringSubmatch(line)
	if m == nil {
		c.Fatalf("no address in %q", line)
	}
	c.address = m[1]
	return c
}

var listening = regexp.MustCompile(`listen=(\S+)`)

// patience is what anything may take that a test waits for. It is long, because
// the machine may be busy; nothing waits that long when all is well.
const patience = 90 * time.Second

// await returns the first line of the log with all of these texts, and fails
// the test when there is none in time.
func (c *collector) await(texts ...string) string {
	c.Helper()
	line, ok := c.log.await(patience, texts...)
	if !ok {
		c.Fatalf("the log has no line with %q:\n%s", texts, c.log.tail(60))
	}
	return line
}

// ready waits until the collector has its ClickHouse and loads.
func (c *collector) ready() *collector {
	c.Helper()
	c.await("clickhouse is ready")
	return c
}

func (c *collector) pid() int { return c.cmd.Process.Pid }

// gone tells whether the process has ended. Any goroutine may ask.
func (c *collector) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// kill sends SIGKILL and waits until the process is gone. Its engine follows by
// itself within a second or two. Again does nothing.
func (c *collector) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.ended
}

// killEngine sends SIGKILL to the engine, if there is one, and does not wait.
func (c *collector) killEngine() {
	killProcess(c.enginePID())
}

func killProcess(pid int) {
	if pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	}
}

// stop ends it as a service manager does; anything but an orderly end fails the
// test.
func (c *collector) stop() {
	c.Helper()
	if c.gone() {
		c.Fatalf("it was to be stopped, and had ended: %v\n%s", c.err, c.log.tail(60))
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
		if c.err != nil {
			c.Errorf("stop: %v\n%s", c.err, c.log.tail(60))
		}
	case <-time.After(patience):
		c.kill()
		c.Errorf("it does not stop:\n%s", c.log.tail(60))
	}
}

// enginePID is the process id of the engine, 0 while there is none.
func (c *collector) enginePID() int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state parent …; the name may hold anything
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(c.pid()) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if bytes.Contains(line, []byte("--config-file=config.xml")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	return 0
}

// client is the connection that commands use. The socket comes a moment after
// the first beacon can be sent.
func (c *collector) client() *control.Client {
	c.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		client, err := control.Dial(c.dir)
		if err == nil {
			return client
		}
		if !errors.Is(err, control.ErrNotRunning) || time.Now().After(end) || c.gone() {
			c.Fatalf("find the control socket: %v\n%s", err, c.log.tail(60))
		}
	}
}

// flush returns when everything that was taken before is in every view.
func (c *collector) flush() {
	c.Helper()
	client := c.client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		c.Fatalf("%v\n%s", err, c.log.tail(60))
	}
}

// reader connects to its ClickHouse as the user who may only read. The
// connection is closed with the test, and heals when the engine is started
// again, but not when the collector is.
func (c *collector) reader() driver.Conn {
	c.Helper()
	client := c.client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	info, err := client.Info(ctx)
	if err != nil {
		c.Fatalf("%v\n%s", err, c.log.tail(60))
	}
	return dial(c, info.ReaderDSN)
}

func dial(t testing.TB, dsn string) driver.Conn {
	t.Helper()
	o, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionLZ4}
	o.DialTimeout = time.Second // a handshake ends by this alone, not by the context
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// get asks one of its pages. Any goroutine may.
func (c *collector) get(path string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true // no connection of ours is among those that are counted
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// figures is the page /metrics, by name and labels.
func (c *collector) figures() map[string]float64 {
	c.Helper()
	code, body, err := c.get("/metrics")
	if err != nil || code != http.StatusOK {
		c.Fatalf("/metrics: %d %v\n%s", code, err, c.log.tail(60))
	}
	out := map[string]float64{}
	for line := range strings.Lines(body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] = v
		}
	}
	return out
}

// until polls what has no signal, and fails the test when it does not come
// about.
func (c *collector) until(what string, holds func() bool) {
	c.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			c.Fatalf("never: %s\n%s", what, c.log.tail(60))
		}
	}
}
