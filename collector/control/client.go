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
	"net/http"
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

// Import sends the lines of r and calls progress with what comes back
// meanwhile, until the summary is there: it is decoded into what summary
// points to. When ctx ends, so does the import over there.
func (c *Client) Import(ctx context.Context, r io.Reader, progress func(Progress), summary any) error {
	res, err := c.do(ctx, "POST", "/import", r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	decoder := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var m message
		err := decoder.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("import: serve ended before the summary; the same file again adds only what is missing")
		case err != nil:
			return fmt.Errorf("import: %w", err)
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
