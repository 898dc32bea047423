package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

// A Client asks a running `serve`. Close it when done.
type Client struct {
	http  *http.Client
	place *place
}

// Dial finds who serves on a data directory. It gives ErrNotRunning when nobody
// does, also when the directory is not there yet.
func Dial(dir string) (*Client, error) {
	p, err := locate(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNotRunning
		}
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	probe, err := p.dial(ctx)
	if err != nil {
		_ = p.Close() // nothing was written through it
		if errors.Is(err, ErrNotRunning) {
			return nil, err
		}
		return nil, fmt.Errorf("control socket: %w", err)
	}
	_ = probe.Close() // it was only asked whether somebody is there
	return &Client{place: p, http: &http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx) },
	}}}, nil
}

// Close lets go of the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return c.place.Close()
}

// Info says who serves.
func (c *Client) Info(ctx context.Context) (Info, error) {
	res, err := c.do(ctx, "GET", "/info", nil)
	if err != nil {
		return Info{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var info Info
	if err := json.NewDecoder(res.Body).Decode(&info); err != nil {
		return Info{}, fmt.Errorf("info: %w", err)
	}
	return info, nil
}

// Flush returns when everything taken before the call is visible.
func (c *Client) Flush(ctx context.Context) error {
	res, err := c.do(ctx, "POST", "/flush", nil)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// Erase sends whose rows are to go and decodes what was done into what result
// points to. When ctx ends, so does the work over there.
func (c *Client) Erase(ctx context.Context, whose, result any) error {
	body, err := json.Marshal(whose)
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	res, err := c.do(ctx, "POST", "/erase", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(result); err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	return nil
}

// Import sends the lines of r and calls progress with what comes back
// meanwhile, until the summary is there: it is decoded into what summary
// points to. When ctx ends, so does the import over there.
func (c *Client) Import(ctx context.Context, r io.Reader, progress func(Progress), summary any) error {
	lines := &source{Reader: r}
	res, err := c.do(ctx, "POST", "/import", lines)
	if err != nil {
		return lines.ended(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	decoder := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case err != nil:
			return lines.ended(ctx, fmt.Errorf("import: %w", err))
		case m.Error != "":
			return fmt.Errorf("import: %s", m.Error)
		case m.Summary != nil:
			if err := json.Unmarshal(m.Summary, summary); err != nil {
				return fmt.Errorf("import summary: %w", err)
			}
			return nil
		case progress != nil && m.Progress != nil:
			progress(*m.Progress)
		}
	}
}

// A source is the file being sent. It remembers why it could not be read on:
// net/http reports that, too, as a connection that is lost.
type source struct {
	io.Reader
	closed atomic.Bool
	failed atomic.Pointer[error]
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !s.closed.Load() {
		s.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Close is called by net/http, which gives up the file with its connection.
func (s *source) Close() error {
	s.closed.Store(true)
	if c, ok := s.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// ended puts why an import came to no summary into words for its command.
func (s *source) ended(ctx context.Context, err error) error {
	switch failed := s.failed.Load(); {
	case ctx.Err() != nil:
		return fmt.Errorf("import: %w", ctx.Err())
	case failed != nil:
		return fmt.Errorf("import: read the lines: %w", *failed)
	case lost(err):
		return errors.New("import: serve ended before the summary; the same file again adds only what is missing")
	}
	return err
}

// lost tells whether the other side is gone. The kernel says so in several ways,
// depending on what was under way: reading, sending, or lines not yet read over
// there.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, net.ErrClosed) // net/http saw one of these first, and closed
}

// do sends a request and turns a refusal into an error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://serve"+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path[1:], err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, ErrNotRunning) {
			return nil, ErrNotRunning
		}
		return nil, fmt.Errorf("%s: %w", path[1:], err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	var m message
	if json.NewDecoder(res.Body).Decode(&m) == nil && m.Error != "" {
		return nil, fmt.Errorf("%s: %s", path[1:], m.Error)
	}
	return nil, fmt.Errorf("%s: answered %s", path[1:], res.Status)
}
