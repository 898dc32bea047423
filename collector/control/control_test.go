package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the other process: with childEnv it serves on that directory
// until it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(serveAsChild(dir))
	}
	goleak.VerifyTestMain(m)
}

const childEnv = "PASSALONG_CONTROL_TEST_DIR"

func serveAsChild(dir string) int {
	release, err := Lock(dir)
	if err == nil {
		defer release()
		_, err = listen(context.Background(), dir, Handlers{Info: says(Info{})})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("serving")
	// Until the pipe of the parent closes: a test that dies takes us along.
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// says answers with an Info.
func says(info Info) func(context.Context) (Info, error) {
	return func(context.Context) (Info, error) { return info, nil }
}

// another starts another process that serves on dir, and returns its kill -9.
func another(t *testing.T, dir string) (pid int, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "serving\n" {
		t.Fatalf("the other process: %q %v", line, err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait() // it was killed
			_ = in.Close()
		})
	}
	t.Cleanup(kill)
	return cmd.Process.Pid, kill
}

// serve starts a server and a client of it.
func serve(t *testing.T, dir string, h Handlers) *Client {
	t.Helper()
	s, err := listen(context.Background(), dir, h)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// long makes a data directory whose path does not fit into a socket's.
func long(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("a-long-name-", 12), strings.Repeat("x", 100))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInfoReachesACommand(t *testing.T) {
	for name, dir := range map[string]string{"a short path": t.TempDir(), "a path longer than a socket's may be": long(t)} {
		t.Run(name, func(t *testing.T) {
			want := Info{Version: "1.2.3", PID: 42, Listen: "127.0.0.1:8080", ReaderDSN: "clickhouse://reader@127.0.0.1:9000/passalong", State: "migrating"}
			s, err := listen(context.Background(), dir, Handlers{Info: says(want)})
			if err != nil {
				t.Fatal(err)
			}
			c, err := Dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			got, err := c.Info(context.Background())
			if err != nil || got != want {
				t.Errorf("%+v %v", got, err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(filepath.Join(dir, socketName)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
			if _, err := c.Info(context.Background()); !errors.Is(err, ErrNotRunning) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestSocketIsTheOwnersOnly(t *testing.T) {
	old := syscall.Umask(0) // the widest: the mode must not come from it
	defer syscall.Umask(old)
	dir := t.TempDir()
	serve(t, dir, Handlers{})
	stat, err := os.Lstat(filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if got := stat.Mode(); got != fs.ModeSocket|0o600 {
		t.Errorf("mode %s", got)
	}
	release, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if stat, err = os.Lstat(filepath.Join(dir, lockName)); err != nil || stat.Mode() != 0o600 {
		t.Errorf("lock: %v %v", stat.Mode(), err)
	}
}

func TestNobodyServes(t *testing.T) {
	stale := t.TempDir()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(stale, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	for name, dir := range map[string]string{
		"an empty directory":   t.TempDir(),
		"no directory":         filepath.Join(t.TempDir(), "data"),
		"a socket left behind": stale,
		"an empty, long one":   long(t),
	} {
		if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What kill -9 leaves behind is found out and replaced; while the process
// lives, neither its socket nor its lock can be taken.
func TestAfterKill9(t *testing.T) {
	for name, dir := range map[string]string{"a short path": t.TempDir(), "a long path": long(t)} {
		t.Run(name, func(t *testing.T) {
			pid, kill := another(t, dir)
			c, err := Dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := c.Info(context.Background()); err != nil || info.PID != pid {
				t.Errorf("%+v %v", info, err)
			}
			if err := Serve(context.Background(), dir, Handlers{}); !errors.Is(err, ErrRunning) {
				t.Errorf("a second serve: %v", err)
			}
			var locked *LockedError
			if _, err := Lock(dir); !errors.As(err, &locked) || !errors.Is(err, ErrLocked) || locked.PID != pid || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d;", pid)) {
				t.Errorf("a second lock: %v", err)
			}
			if info, err := c.Info(context.Background()); err != nil || info.PID != pid {
				t.Errorf("after the attempt: %+v %v", info, err)
			}

			kill()
			if _, err := c.Info(context.Background()); err == nil {
				t.Error("a killed process answers")
			}
			_ = c.Close()
			if _, err := os.Lstat(filepath.Join(dir, socketName)); err != nil {
				t.Fatalf("nothing was left behind, so nothing is tested: %v", err)
			}
			if _, err := Dial(dir); !errors.Is(err, ErrNotRunning) {
				t.Errorf("dial: %v", err)
			}
			release, err := Lock(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			c = serve(t, dir, Handlers{Info: says(Info{PID: 7})})
			if info, err := c.Info(context.Background()); err != nil || info.PID != 7 {
				t.Errorf("%+v %v", info, err)
			}
		})
	}
}

// Of many that start at once on a stale socket, one serves.
func TestOnlyOneReplacesAStaleSocket(t *testing.T) {
	dir := t.TempDir()
	_, kill := another(t, dir)
	kill()
	var (
		mu      sync.Mutex
		servers []*server
		wg      sync.WaitGroup
	)
	for range 8 {
		wg.Go(func() {
			s, err := listen(context.Background(), dir, Handlers{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				servers = append(servers, s)
			} else if !errors.Is(err, ErrRunning) {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if len(servers) != 1 {
		t.Errorf("%d serve", len(servers))
	}
	for _, s := range servers {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}

// A file in the socket's place is no socket, and not ours to remove.
func TestAFileInItsPlaceIsKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, socketName)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Serve(context.Background(), dir, Handlers{}); err == nil {
		t.Error("served")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("%q %v", text, err)
	}
}

func TestFlush(t *testing.T) {
	var fail error
	c := serve(t, t.TempDir(), Handlers{Flush: func(context.Context) error { return fail }})
	if err := c.Flush(context.Background()); err != nil {
		t.Error(err)
	}
	fail = errors.New("load batch 41: connection refused")
	if err := c.Flush(context.Background()); err == nil || err.Error() != "flush: load batch 41: connection refused" {
		t.Errorf("%v", err)
	}
}

func TestErase(t *testing.T) {
	var fail error
	c := serve(t, t.TempDir(), Handlers{Erase: func(_ context.Context, whose json.RawMessage) (any, error) {
		return map[string]string{"took": string(whose)}, fail
	}})
	var result struct{ Took string }
	if err := c.Erase(context.Background(), map[string]string{"site": "s"}, &result); err != nil || result.Took != `{"site":"s"}` {
		t.Errorf("%+v %v", result, err)
	}
	fail = errors.New("write order: connection refused")
	if err := c.Erase(context.Background(), 1, &result); err == nil || err.Error() != "erase: write order: connection refused" {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNotOfferedSaysSo(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{})
	_, info := c.Info(context.Background())
	for name, err := range map[string]error{
		"info":   info,
		"flush":  c.Flush(context.Background()),
		"erase":  c.Erase(context.Background(), 1, new(int)),
		"import": c.Import(context.Background(), strings.NewReader("x"), nil, new(int)),
	} {
		if err == nil || !strings.HasSuffix(err.Error(), name+": not offered") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// dialSoon dials a server that is just starting.
func dialSoon(t *testing.T, dir string) *Client {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		c, err := Dial(dir)
		if err == nil {
			return c
		}
		if !errors.Is(err, ErrNotRunning) || time.Since(begin) > 5*time.Second {
			t.Fatal(err)
		}
	}
}

// An Info may wait for the engine; the command that waits with it may go away.
func TestInfoThatHasNothingToTell(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Info: func(ctx context.Context) (Info, error) {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return Info{}, errors.New("clickhouse does not answer")
	}})
	if _, err := c.Info(context.Background()); err == nil || err.Error() != "info: clickhouse does not answer" {
		t.Errorf("%v", err)
	}
}
