package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A process is one child, from its start to the moment it was waited for.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer // its end is the order to stop
	said  *tail     // the last of its standard error
	began time.Time
	took  time.Duration // from the start to the ready line
	gone  chan struct{} // closed once it was waited for
	err   error         // how it ended; valid after gone
}

// launch makes one child and waits until it answers.
func (e *Engine) launch(ctx context.Context) (*process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &process{said: newTail(), began: time.Now(), gone: make(chan struct{})}
	cmd, err := command(e.o.Library, serveMode,
		// Below its working directory, and the path of the data is in there:
		// ClickHouse turns a dash of another kind in an argument into two hyphens.
		"--config-file=config.xml",
		"--max_query_size=262144", // ClickHouse's default; see the profile start in settings.go
		"--query="+strings.Join(e.settings.startStatements(), "; "))
	if err != nil {
		return nil, err
	}
	p.cmd = cmd
	cmd.Dir = e.o.Dir // all that the child keeps of the file system
	cmd.Stderr = p.said
	// Only the child itself holds its standard error; this is in case a
	// debugger or a crash handler took a copy.
	cmd.WaitDelay = 5 * time.Second

	// Of each pipe the child gets one end. The parent's copy of that end must
	// go, or the pipe never ends.
	ready, readyChild, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	aliveChild, alive, err := os.Pipe()
	if err != nil {
		readyChild.Close()
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{readyChild, aliveChild}
	if p.stdin, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	readyChild.Close()
	aliveChild.Close()
	if err != nil {
		alive.Close()
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		// Not before: during an orderly stop the child must not see its parent as dead.
		alive.Close()
		close(p.gone)
	}()

	limit, cancel := context.WithTimeoutCause(ctx, e.o.StartLimit, fmt.Errorf("not ready within %v", e.o.StartLimit))
	defer cancel()
	unblock := context.AfterFunc(limit, func() {
		_ = ready.SetReadDeadline(time.Unix(1, 0)) // the pipe is pollable, so this cannot fail
	})
	defer unblock()
	version, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		ended := limit.Err() == nil // and not given up
		if ended {
			// It closed the pipe, so it is ending; it may have more to say.
			sleepUntil(p.gone, time.Second)
		}
		_ = p.cmd.Process.Kill() // gone already is as good
		<-p.gone
		if !ended {
			return nil, context.Cause(limit)
		}
		return nil, explain(p.said.String(), p.err)
	}
	p.took = time.Since(p.began)
	e.answers(p, strings.TrimSpace(version))
	return p, nil
}

// command is this binary as a child that runs `clickhouse local` with args.
func command(library, mode string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	//nolint:noctx // it lives until it is told to end, not until a context does
	cmd := exec.Command(self, append([]string{childArgument, library}, args...)...)
	cmd.Env = append(childEnvironment(os.Environ()), childVariable+"="+mode)
	// A group of its own: Ctrl-C is for the collector, which then stops its
	// engine in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// childEnvironment keeps what the loader, the C library and Go's tools look
// at. The rest may hold secrets, and a query can read what is in it. UTC is the
// server's zone because of TZ; it does not take that from its settings.
func childEnvironment(env []string) []string {
	kept := []string{"TZ=UTC"}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case name == "LD_LIBRARY_PATH", name == "LANG", strings.HasPrefix(name, "LC_"),
			name == "TMPDIR", name == "GOCOVERDIR", name == "GODEBUG", name == "GORACE", name == "GOTRACEBACK":
			kept = append(kept, v)
		}
	}
	return kept
}

// stop asks, then insists.
func (p *process) stop(limit time.Duration) error {
	p.stdin.Close() // already closed when the child is gone
	if sleepUntil(p.gone, limit) {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if sleepUntil(p.gone, 2*time.Second) {
		return fmt.Errorf("stop engine: not done after %v, sent SIGTERM", limit)
	}
	_ = p.cmd.Process.Kill()
	<-p.gone
	return fmt.Errorf("stop engine: not done after %v, killed", limit)
}

// sleepUntil reports whether c was closed within d.
func sleepUntil(c <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// lock takes the directory for this process. The kernel gives it back when the
// process ends; the child does not inherit it.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}
