package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

func TestMain(m *testing.M) {
	engine.Child()
	if dir := os.Getenv("ENGINE_TEST_HOLDER"); dir != "" {
		hold(dir)
	}
	enginetest.Main(m)
}

// hold is a collector's stand-in in a process of its own: it starts an engine,
// says where and as which process, and holds it until it is killed or told to
// stop by the end of its standard input. It does not react to Ctrl-C.
func hold(dir string) {
	signal.Ignore(syscall.SIGINT)
	e, err := engine.Start(context.Background(), engine.Options{Library: os.Getenv("PASSALONG_ENGINE"), Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(e.PID(), e.DSN())
	io.Copy(io.Discard, os.Stdin)
	if err := e.Stop(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("stopped")
	os.Exit(0)
}

type holder struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	child int
	dsn   string
}

func startHolder(t *testing.T, dir string) *holder {
	t.Helper()
	h := &holder{cmd: exec.Command(os.Args[0])}
	h.cmd.Env = append(os.Environ(), "ENGINE_TEST_HOLDER="+dir, "PASSALONG_ENGINE="+enginetest.Library(t), "TZ=Europe/Paris")
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Stderr = t.Output()
	h.stdin, _ = h.cmd.StdinPipe()
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.cmd.Process.Kill()
		h.cmd.Wait()
	})
	h.out = bufio.NewReader(out)
	if _, err := fmt.Fscan(h.out, &h.child, &h.dsn); err != nil {
		t.Fatal("holder:", err)
	}
	return h
}

// exists reports whether a process runs; one that waits to be collected by
// init does not.
func exists(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z")
}

func waitGone(t *testing.T, pid int, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	for exists(pid) {
		if time.Since(began) > limit {
			t.Fatalf("process %d is still there after %v", pid, limit)
		}
		time.Sleep(10 * time.Millisecond) // not our child: there is no signal to wait for
	}
	return time.Since(began)
}

func eval[T any](t *testing.T, c driver.Conn, query string) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func exec1(t *testing.T, c driver.Conn, queries ...string) {
	t.Helper()
	for _, q := range queries {
		if err := c.Exec(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestReadyFast(t *testing.T) {
	began := time.Now()
	e := enginetest.New(t, engine.Options{})
	took := time.Since(began)
	t.Log("ready in", took)
	// 0.2 s on a quiet machine. The limit is only there to notice a start that
	// waits for something: under the race detector, with every core taken six
	// times over, 3 s were seen.
	if took > 20*time.Second {
		t.Errorf("took %v to be ready", took)
	}
	c := dial(t, e.DSN())
	if got := eval[string](t, c, "SELECT version()"); got != e.Version() {
		t.Errorf("Version() = %s, the server says %s", e.Version(), got)
	}
	if got := e.Generation(); got != 1 {
		t.Errorf("generation %d after one start", got)
	}
}

// TestKilledChildComesBack: the same address, the same users, the same data,
// and a connection pool that heals by itself.
func TestKilledChildComesBack(t *testing.T) {
	log := &logged{}
	e := enginetest.New(t, engine.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	c := dial(t, e.DSN())
	exec1(t, c, "CREATE TABLE passalong.kept (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1",
		"INSERT INTO passalong.kept VALUES (7)", "CREATE FUNCTION plus_one AS (x) -> x + 1")
	dsn, reader := e.DSN(), e.ReaderDSN()

	for i := range 3 {
		pid := e.PID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for e.Generation() != i+2 {
			time.Sleep(5 * time.Millisecond)
		}
		if err := e.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if exists(pid) {
			t.Error("the killed process is still there")
		}
		var got uint16
		// The pool may hold a connection whose end it has not noticed: once.
		if err := c.QueryRow(t.Context(), "SELECT plus_one(n) FROM passalong.kept").Scan(&got); err != nil {
			got = eval[uint16](t, c, "SELECT plus_one(n) FROM passalong.kept")
		}
		if got != 8 {
			t.Errorf("plus_one(n) = %d, want 8", got)
		}
	}
	if e.DSN() != dsn || e.ReaderDSN() != reader {
		t.Error("the DSN changed")
	}
	eval[uint8](t, dial(t, reader), "SELECT n FROM passalong.kept")
	for _, want := range []string{`level=WARN msg="engine died" error="signal: killed"`, `level=INFO msg="engine is back" generation=4`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
}

// TestReadyWaits: while there is no engine, Ready does not say there is.
func TestReadyWaits(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for e.PID() != 0 {
		runtime.Gosched()
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := e.Ready(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ready = %v while the engine is down", err)
	}
	if err := e.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	eval[uint8](t, dial(t, e.DSN()), "SELECT 1")
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := e.Ready(t.Context()); err == nil {
		t.Error("Ready says yes after Stop")
	}
}

func TestGoneWithKilledParent(t *testing.T) {
	dir := t.TempDir()
	h := startHolder(t, dir)
	c := dial(t, h.dsn)
	if got := eval[string](t, c, "SELECT timezone()"); got != "UTC" {
		t.Errorf("the engine's zone is %s, want UTC whatever the machine's is", got)
	}
	// Work under way must not keep it.
	go c.Exec(context.Background(), "SELECT sleepEachRow(1) FROM numbers(100) SETTINGS max_block_size = 1")
	if err := syscall.Kill(h.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.cmd.Wait()

	// A collector that is started again at once finds the data still locked and
	// waits for it.
	enginetest.New(t, engine.Options{Dir: dir})
	t.Log("gone", waitGone(t, h.child, 12*time.Second), "after its successor was ready")
}

// TestCtrlC: the terminal sends SIGINT to the whole group; the engine is not in
// it and stays until its parent stops it.
func TestCtrlC(t *testing.T) {
	h := startHolder(t, t.TempDir())
	c := dial(t, h.dsn)
	if err := syscall.Kill(-h.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	eval[uint8](t, c, "SELECT sleep(0.2)")
	c.Close()
	h.stdin.Close()
	var word string
	if _, err := fmt.Fscan(h.out, &word); err != nil || word != "stopped" {
		t.Fatalf("holder: %q, %v; want an orderly stop", word, err)
	}
	if exists(h.child) {
		t.Error("the child is there after Stop")
	}
}

func TestMemoryCeiling(t *testing.T) {
	e := enginetest.New(t, engine.Options{Memory: 400 << 20})
	c := dial(t, e.DSN())
	exec1(t, c, "CREATE TABLE passalong.t (n UInt64) ENGINE = Memory")
	for _, user := range []struct{ name, dsn string }{{"collector", e.DSN()}, {"reader", e.ReaderDSN()}} {
		c := dial(t, user.dsn)
		err := c.Exec(t.Context(), "SELECT groupArray(number) FROM numbers(200000000)")
		if code := codeOf(err); code != 241 {
			t.Errorf("%s: a query that needs 1.6 GB: %v, want code 241", user.name, err)
		}
		if got := eval[uint64](t, c, "SELECT sum(number) FROM numbers(1000)"); got != 499500 {
			t.Errorf("%s: sum = %d", user.name, got)
		}
	}
	if e.Generation() != 1 {
		t.Error("the engine was restarted")
	}
}

func TestStopIsOrdered(t *testing.T) {
	dir := t.TempDir()
	e := enginetest.New(t, engine.Options{Dir: dir})
	pid := e.PID()
	c := dial(t, e.DSN())
	// Without fsync, so that an unordered end could lose it.
	exec1(t, c, "CREATE TABLE passalong.t (n UInt64) ENGINE = MergeTree ORDER BY n",
		"CREATE TABLE passalong.b AS passalong.t ENGINE = Buffer(passalong, t, 1, 100, 100, 1000000, 1000000, 100000000, 100000000)",
		"INSERT INTO passalong.b SELECT number FROM numbers(1000)")
	c.Close()
	began := time.Now()
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Log("stopped in", time.Since(began))
	select {
	case <-e.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if exists(pid) || e.PID() != 0 {
		t.Error("the child is there after Stop")
	}
	if err := e.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	// What was in memory only was written at the end: the stop was in order.
	e = enginetest.New(t, engine.Options{Dir: dir})
	if got := eval[uint64](t, dial(t, e.DSN()), "SELECT count() FROM passalong.t"); got != 1000 {
		t.Errorf("%d rows after a stop and a start, want 1000", got)
	}
}

// TestHangingChildIsKilled: one that does not end when asked is ended.
func TestHangingChildIsKilled(t *testing.T) {
	e, err := engine.Start(t.Context(), engine.Options{Library: enginetest.Library(t), Dir: t.TempDir(), StopLimit: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	pid := e.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("Stop = %v, want to be told that it was killed", err)
	}
	if exists(pid) {
		t.Error("the child is there after Stop")
	}
}

// TestStopWhileDown: nothing is started any more once Stop was called.
func TestStopWhileDown(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	pid := e.PID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	if exists(pid) || e.PID() != 0 {
		t.Error("a child is there after Stop")
	}
}

// TestNothingLeft: no goroutine, no descriptor, no process after a life with a
// restart in it.
func TestNothingLeft(t *testing.T) {
	library, dir := enginetest.Library(t), t.TempDir()
	before, kids, goroutines := descriptors(t), children(t), goleak.IgnoreCurrent()
	for range 2 {
		e, err := engine.Start(t.Context(), engine.Options{Library: library, Dir: dir, HTTP: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(e.PID(), syscall.SIGKILL)
		for e.Generation() != 2 {
			time.Sleep(5 * time.Millisecond)
		}
		if err := e.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	goleak.VerifyNone(t, goroutines)
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if after := children(t); !slices.Equal(kids, after) {
		t.Errorf("children before %v, after %v", kids, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// children are those of this process, zombies included.
func children(t *testing.T) (pids []int) {
	t.Helper()
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		b, _ := os.ReadFile(task) // a thread may be gone
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

func TestPortStaysReserved(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	if err := syscall.Kill(e.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// While it is down, nobody who asks for any port gets this one.
	_, after, _ := strings.Cut(e.DSN(), "@")
	addr, _, _ := strings.Cut(after, "/")
	for range 200 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() == addr {
			t.Fatal("the engine's port was given away")
		}
		l.Close()
	}
}

// logged is a log that tests may read while it is written.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
