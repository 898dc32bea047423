package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

type counted struct{ Lines, Bytes int64 }

// count is an import that counts, and reports after every line.
func count(_ context.Context, r io.Reader, progress func(Progress)) (any, error) {
	var sum counted
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		sum.Lines++
		sum.Bytes += int64(len(lines.Bytes()))
		progress(Progress{Lines: sum.Lines, Bytes: sum.Bytes})
	}
	return sum, lines.Err()
}

// The answer to a line comes back before the next line is sent: full duplex.
func TestImportReportsWhileItIsSent(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Import: count})
	r, w := io.Pipe()
	seen := make(chan Progress)
	var sum counted
	finished := make(chan error, 1)
	go func() {
		finished <- c.Import(context.Background(), r, func(p Progress) { seen <- p }, &sum)
	}()
	for i := int64(1); i <= 20; i++ {
		if _, err := fmt.Fprintf(w, "line %02d\n", i); err != nil {
			t.Fatal(err)
		}
		if p := <-seen; p.Lines != i {
			t.Fatalf("after line %d: %+v", i, p)
		}
	}
	_ = w.Close()
	if err := <-finished; err != nil || sum != (counted{20, 140}) {
		t.Errorf("%+v %v", sum, err)
	}
}

func TestImportOfALargeFile(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Import: func(_ context.Context, r io.Reader, progress func(Progress)) (any, error) {
		progress(Progress{})
		n, err := io.Copy(io.Discard, r)
		return n, err
	}})
	var sum int64
	if err := c.Import(context.Background(), io.LimitReader(zeros{}, 64<<20), nil, &sum); err != nil || sum != 64<<20 {
		t.Errorf("%d %v", sum, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An import that gives up at once is heard although the file is still being
// sent.
func TestImportThatFailsIsHeard(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Import: func(context.Context, io.Reader, func(Progress)) (any, error) {
		return nil, errors.New("spool is full")
	}})
	err := c.Import(context.Background(), io.LimitReader(zeros{}, 64<<20), nil, new(int))
	if err == nil || err.Error() != "import: spool is full" {
		t.Errorf("%v", err)
	}
}

func TestImportWhoseSummaryCannotBeSent(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Import: func(context.Context, io.Reader, func(Progress)) (any, error) {
		return func() {}, nil
	}})
	if err := c.Import(context.Background(), strings.NewReader(""), nil, new(int)); err == nil || !strings.Contains(err.Error(), "summary") {
		t.Errorf("%v", err)
	}
}

// A client that goes away ends its import, whether that is reading the file or
// busy with what it has read.
func TestClientThatGoesAwayEndsItsImport(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(ctx context.Context, r io.Reader, progress func(Progress)) error
		open bool // the file goes on
	}{
		{"while the file is read", func(_ context.Context, r io.Reader, progress func(Progress)) error {
			progress(Progress{})
			_, err := io.Copy(io.Discard, r)
			return err
		}, true},
		{"when all is read", func(ctx context.Context, r io.Reader, progress func(Progress)) error {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return err
			}
			progress(Progress{})
			<-ctx.Done()
			return ctx.Err()
		}, false},
		{"busy with a file that is not read to its end", func(ctx context.Context, _ io.Reader, progress func(Progress)) error {
			for ctx.Err() == nil {
				progress(Progress{Lines: 1})
			}
			return ctx.Err()
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan error, 1)
			client := serve(t, t.TempDir(), Handlers{Import: func(ctx context.Context, r io.Reader, progress func(Progress)) (any, error) {
				err := c.work(ctx, r, progress)
				ended <- err
				return nil, err
			}})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, "line\n")
				if !c.open {
					_ = w.Close()
				}
			}()
			var once sync.Once
			err := client.Import(ctx, r, func(Progress) { once.Do(cancel) }, new(int))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the client: %v", err)
			}
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the import took a torn file for a whole one")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the import goes on without its client")
			}
			_ = w.Close()
		})
	}
}

// A file that cannot be read to its end must not look like a whole one.
func TestUnreadableFileIsNotAWholeOne(t *testing.T) {
	ended := make(chan error, 1)
	c := serve(t, t.TempDir(), Handlers{Import: func(ctx context.Context, r io.Reader, progress func(Progress)) (any, error) {
		sum, err := count(ctx, r, progress)
		ended <- err
		return sum, err
	}})
	file := io.MultiReader(strings.NewReader("a line\n"), iotest.ErrReader(errors.New("input/output error")))
	if err := c.Import(context.Background(), file, nil, new(counted)); err == nil {
		t.Error("the client was told all is well")
	}
	if err := <-ended; err == nil {
		t.Error("the import was told all is well")
	}
}

// When its context ends, Serve ends an import, tells its command why, waits for
// it and removes the socket.
func TestStopEndsAnImport(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, dir, Handlers{Import: func(ctx context.Context, _ io.Reader, progress func(Progress)) (any, error) {
			defer close(ended)
			progress(Progress{})
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	}()
	c := dialSoon(t, dir)
	defer func() { _ = c.Close() }()
	err := c.Import(context.Background(), strings.NewReader("line\n"), func(Progress) { stop() }, new(int))
	if err == nil || !strings.HasPrefix(err.Error(), "import: serve is stopping") {
		t.Errorf("%v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Serve did not wait for the import")
	}
	if _, err := os.Lstat(filepath.Join(dir, socketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// endless is a file that goes on as long as somebody reads.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '\n'
	}
	return len(p), nil
}

// Killed in the middle of an import, serve leaves its command no summary, but a
// sentence that says what to do. What the kernel reports depends on the moment.
func TestServeThatDiesIsNoSummary(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"progress\":{}}\n"
	for _, c := range []struct {
		name   string
		file   io.Reader
		answer string
	}{
		{"after the whole file", strings.NewReader(""), answer},
		{"after the whole file, in the middle of an answer", strings.NewReader(""), answer + `{"prog`},
		{"in the middle of a chunk", strings.NewReader(""), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"},
		{"before any answer", strings.NewReader(""), ""},
		{"in the middle of the file", endless{}, answer},
		{"in the middle of the file, before any answer", endless{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			ln, err := net.Listen("unix", filepath.Join(dir, socketName))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ln.Close() }()
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					head := make([]byte, 1)
					if _, err := conn.Read(head); err == nil {
						_, _ = io.WriteString(conn, c.answer)
					}
					_ = conn.Close() // with the rest unread: a reset
				}
			}()
			client, err := Dial(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			err = client.Import(context.Background(), c.file, nil, new(int))
			if err == nil || err.Error() != "import: serve ended before the summary; the same file again adds only what is missing" {
				t.Errorf("%v", err)
			}
		})
	}
}

// A file that is cut off, as a compressed one may be, is no fault of serve.
func TestFileCutOffIsNotServesEnd(t *testing.T) {
	c := serve(t, t.TempDir(), Handlers{Import: count})
	file := io.MultiReader(strings.NewReader("line\n"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := c.Import(context.Background(), file, nil, new(counted)); err == nil || !strings.HasPrefix(err.Error(), "import: read the lines: ") {
		t.Errorf("%v", err)
	}
}
