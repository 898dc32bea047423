package torture

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// An answer is what became of a beacon, as its sender knows it.
type answer struct {
	status int    // 0: there was none
	sent   bool   // a byte of it may have reached the collector
	retry  string // the header Retry-After
	said   string // the body
	took   time.Duration
}

// A client is one connection to a collector. It is made here and not by
// net/http, which sends a request a second time when it thinks that right.
type client struct {
	address string
	conn    net.Conn
	from    *bufio.Reader
}

// answerLimit is how long a client waits. The collector gives a beacon up
// sooner and says so.
const answerLimit = 30 * time.Second

// send posts a beacon and waits for the answer.
func (c *client) send(b *beacon) (a answer) {
	began := time.Now()
	defer func() { a.took = time.Since(began) }()
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.address, 5*time.Second)
		if err != nil {
			return answer{}
		}
		c.conn, c.from = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(began.Add(answerLimit))
	var request bytes.Buffer
	fmt.Fprintf(&request, "POST /e HTTP/1.1\r\nHost: c.example\r\nContent-Type: text/plain;charset=UTF-8\r\nUser-Agent: %s\r\nX-Forwarded-For: %s\r\n", b.agent, b.address)
	if b.signal != "" {
		fmt.Fprintf(&request, "%s: 1\r\n", b.signal)
	}
	fmt.Fprintf(&request, "Content-Length: %d\r\n\r\n%s", len(b.body), b.body)
	if _, err := c.conn.Write(request.Bytes()); err != nil {
		c.close()
		return answer{sent: true}
	}
	res, err := http.ReadResponse(c.from, nil)
	if err != nil {
		c.close()
		return answer{sent: true}
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || res.Close {
		c.close()
	}
	return answer{status: res.StatusCode, sent: true, retry: res.Header.Get("Retry-After"), said: string(body)}
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
