//go:build linux

package yardstick

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine/enginetest"
)

// A subject is a process that takes beacons.
type subject struct {
	name    string
	cmd     *exec.Cmd
	dir     string
	address string
	log     *bytes.Buffer // read only after the end
	profile string        // socket; empty without
}

// startBare starts the bare handler.
func startBare(b *testing.B) *subject {
	s := &subject{name: "bare", dir: b.TempDir(), log: new(bytes.Buffer)}
	s.cmd = exec.Command(os.Args[0], filepath.Join(s.dir, "spool"))
	s.cmd.Env = append(os.Environ(), role+"=bare")
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	s.start(b)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("bare handler: %v\n%s", err, s.log)
	}
	s.address = strings.TrimSpace(line)
	return s
}

var listening = regexp.MustCompile(`taking beacons.* listen=(\S+)`)

// startWhole starts `passalong serve` with its engine, as it is delivered but
// for the limit of beacons from one address, and waits until it loads.
func startWhole(b *testing.B) *subject {
	binary, err := built()
	if err != nil {
		b.Fatal(err)
	}
	country, err := filepath.Abs("../../bin/country.mmdb")
	if err != nil {
		b.Fatal(err)
	}
	s := &subject{name: "whole", dir: b.TempDir(), log: new(bytes.Buffer)}
	s.cmd = exec.Command(binary, "serve", "--data-dir", filepath.Join(s.dir, "data"), "--listen", "127.0.0.1:0", "--site", "news.example",
		"--rate-limit", "1000000/s burst 1000000")
	s.cmd.Env = append(os.Environ(), "PASSALONG_ENGINE="+enginetest.Library(b), "PASSALONG_GEOIP="+country)
	if *profile != "" {
		s.profile = filepath.Join(s.dir, "profile")
		s.cmd.Env = append(s.cmd.Env, "YARDSTICK_PROFILE="+s.profile)
	}
	r, w := io.Pipe()
	s.cmd.Stderr = w
	b.Cleanup(func() { w.Close() }) // after its end: cleanups run backwards
	s.start(b)
	up := make(chan string, 2)
	go func() {
		defer close(up)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			s.log.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				up <- m[1]
			} else if strings.Contains(lines.Text(), "clickhouse is ready") {
				up <- ""
			}
		}
	}()
	for range 2 {
		select {
		case address, ok := <-up:
			if !ok {
				b.Fatalf("serve ended at its start:\n%s", s.log)
			}
			s.address += address
		case <-time.After(time.Minute):
			b.Fatal("serve does not come up within a minute")
		}
	}
	return s
}

// built is the collector as `make build` makes it; for profiles with a file more.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "yardstick-")
	if err != nil {
		return "", err
	}
	report.atEnd = func() { os.RemoveAll(dir) }
	binary := filepath.Join(dir, "passalong")
	args := []string{"build", "-trimpath", "-o", binary}
	if *profile != "" {
		source, err := filepath.Abs("testdata/profiled.go")
		if err != nil {
			return "", err
		}
		place, err := filepath.Abs("../cmd/passalong/yardstick_profiled.go")
		if err != nil {
			return "", err
		}
		text, err := json.Marshal(map[string]map[string]string{"Replace": {place: source}})
		if err != nil {
			return "", err
		}
		overlay := filepath.Join(dir, "overlay.json")
		if err := os.WriteFile(overlay, text, 0o600); err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, "../cmd/passalong")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the collector: %w\n%s", err, out)
	}
	return binary, nil
})

func (s *subject) start(b *testing.B) {
	if err := s.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // Wait tells whether it had ended before
		late := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
		err := s.cmd.Wait()
		if late.Stop(); err != nil {
			b.Errorf("%s: %v\n%s", s.name, err, s.log)
		}
	})
}

func (s *subject) pid() int { return s.cmd.Process.Pid }

// engine is the processor time of the processes below a subject.
func (s *subject) engine() time.Duration {
	sum := time.Duration(0)
	for _, pid := range descendants(s.pid()) {
		sum += processor(pid)
	}
	return sum
}

// figures are those of /metrics, without labels.
func (s *subject) figures() (map[string]float64, error) {
	res, err := http.Get("http://" + s.address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil && !strings.Contains(name, "{") {
			all[name] = v
		}
	}
	return all, nil
}

// drain returns when everything taken is in the tables.
func (s *subject) drain() error {
	if s.name == "bare" {
		return nil
	}
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		f, err := s.figures()
		if err != nil {
			return err
		}
		if rows, ok := f["passalong_spool_rows"]; ok && rows == 0 {
			return nil
		}
	}
	return errors.New("the loader does not catch up within three minutes")
}

// save fetches one of pprof's profiles of the collector.
func (s *subject) save(what, file string) error {
	if s.profile == "" {
		return nil
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.profile)
	}}}
	defer client.CloseIdleConnections()
	res, err := client.Get("http://profile/debug/pprof/" + what)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := os.MkdirAll(*profile, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(*profile, file))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(f, res.Body)
	return err
}
