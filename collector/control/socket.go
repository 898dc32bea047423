package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// longest is what fits into sun_path with its final zero (unix(7)).
const longest = 107

// A place is where a data directory's socket is. Close it when done.
type place struct {
	path string   // as the kernel takes it
	dir  *os.File // open while path goes through it; also what is locked
}

// locate opens the data directory.
func locate(dir string) (*place, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	p := &place{path: filepath.Join(dir, socketName), dir: f}
	if len(p.path) > longest {
		p.path = fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName)
	}
	return p, nil
}

func (p *place) Close() error { return p.dir.Close() }

// dial connects, or says ErrNotRunning when there is no socket or nobody
// listens on it.
func (p *place) dial(ctx context.Context) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", p.path)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	return c, err
}

// listen makes the socket. The directory is locked meanwhile, so that of two
// that find the same stale file only one replaces it.
func (p *place) listen(ctx context.Context) (ln net.Listener, err error) {
	if err := flock(p.dir, syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	defer func() { err = errors.Join(err, flock(p.dir, syscall.LOCK_UN)) }()

	c, err := p.dial(ctx)
	switch {
	case err == nil:
		_ = c.Close() // it was only asked whether somebody is there
		return nil, ErrRunning
	case !errors.Is(err, ErrNotRunning):
		// Not refused, so not known to be stale: a full queue, no permission.
		return nil, fmt.Errorf("ask who listens: %w", err)
	}
	if err := removeStale(p.path); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: ownerOnly}
	return config.Listen(ctx, "unix", p.path)
}

// removeStale removes a socket on which nobody listens. A file of another kind
// refuses connections just so, and is not ours to remove.
func removeStale(path string) error {
	stat, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("stale socket: %w", err)
	case stat.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way and no socket; move it elsewhere", socketName)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("stale socket: %w", err)
	}
	return nil
}

// ownerOnly gives the socket mode 0600 before it has a name. On Linux bind
// takes the mode of the unbound socket, less the umask, for the file it makes
// (net/unix/af_unix.c, unix_bind_bsd), so there is no moment in which others
// could connect.
func ownerOnly(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }); e != nil {
		return e
	}
	return err
}

// flock waits its turn, through signals.
func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
