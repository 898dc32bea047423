package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// asCommand makes the test binary behave as passalong: with it the race
// detector watches the real thing.
const asCommand = "PASSALONG_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	engine.Child()
	if os.Getenv(asCommand) != "" {
		os.Unsetenv(asCommand) // or the settings would warn of it
		main()
	}
	testscript.Main(m, map[string]func(){"passalong": main})
}

// bundled are the settings that stand for the files beside an installed binary.
func bundled(t testing.TB) []string {
	t.Helper()
	country, err := filepath.Abs("../../../bin/country.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"PASSALONG_ENGINE=" + enginetest.Library(t), "PASSALONG_GEOIP=" + country}
}

// command is passalong with these arguments.
func command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), bundled(t)...), asCommand+"=1")
	return cmd
}

// output runs a command to its end.
func output(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("passalong %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// A served is a running `passalong serve`.
type served struct {
	cmd     *exec.Cmd
	dir     string
	address string // http://127.0.0.1:port
	ended   chan error
	log     *lines
}

// lines keeps what a process says, for the failure's message.
type lines struct {
	mu   chan struct{}
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu <- struct{}{}
	defer func() { <-l.mu }()
	return l.text.String()
}

var listening = regexp.MustCompile(`listen=(\S+)`)

// serve starts a collector on dir and returns when it takes beacons. It is
// stopped, in order, at the end of the test.
func serve(t testing.TB, dir string, args ...string) *served {
	t.Helper()
	args = append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)
	s := &served{cmd: command(t, args...), dir: dir, ended: make(chan error, 1), log: &lines{mu: make(chan struct{}, 1)}}
	r, w := io.Pipe()
	s.cmd.Stderr = io.MultiWriter(s.log, w)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.ended <- s.cmd.Wait()
		w.Close()
	}()
	found := make(chan string, 1)
	go func() {
		for sc := bufio.NewScanner(r); sc.Scan(); {
			if m := listening.FindStringSubmatch(sc.Text()); m != nil && strings.Contains(sc.Text(), "taking beacons") {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		close(found)
	}()
	t.Cleanup(func() { s.stop(t) })
	select {
	case address, ok := <-found:
		if !ok {
			t.Fatalf("serve ended at its start:\n%s", s.log)
		}
		s.address = "http://" + address
	case <-time.After(60 * time.Second):
		t.Fatalf("serve takes no beacons:\n%s", s.log)
	}
	return s
}

// stop ends it as a service manager does, and fails the test if it does not end well.
func (s *served) stop(t testing.TB) {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already; Wait tells
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("serve: %v\n%s", err, s.log)
		}
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		t.Errorf("serve does not stop:\n%s", s.log)
	}
	s.ended <- nil
}

// kill ends it as a power cut does.
func (s *served) kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	s.ended <- nil
}

// sql asks beside the running serve.
func (s *served) sql(t testing.TB, query string) string {
	t.Helper()
	return output(t, "sql", "--data-dir", s.dir, query)
}

// send posts a beacon and returns the answer's status.
func (s *served) send(t testing.TB, agent, body string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address+"/e", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	req.Header.Set("User-Agent", agent)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusNoContent {
		t.Logf("%d %s", res.StatusCode, b)
	}
	return res.StatusCode
}

const phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/155.0.0.0 Mobile Safari/537.36"

// view is the beacon of a page view.
func view(page, token, via string) string {
	if via != "" {
		via = fmt.Sprintf(`"via":%q,`, via)
	}
	return fmt.Sprintf(`{"site":"news.example","page":%q,"view":%q,"seq":0,%s"events":[{"type":"view","age":0,"hash":"written"}]}`, page, token, via)
}
