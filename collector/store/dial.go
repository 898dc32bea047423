package store

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// writeLimit is how long a server may take nothing of what is sent before the
// connection is given up. clickhouse-go sends the blocks of a batch without a
// deadline, so that a server that is stopped, or a network that swallows,
// would hold the sender for ever. A guess: a server under load is seen to pause
// for some seconds.
const writeLimit = 30 * time.Second

// dial makes connections as clickhouse-go does, with writeLimit on each.
func dial(limit, timeout time.Duration, secure *tls.Config) func(context.Context, string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		patient := &patient{TCPConn: conn.(*net.TCPConn), limit: limit} // what "tcp" gives
		if secure == nil {
			return patient, nil
		}
		config := secure.Clone()
		if config.ServerName == "" {
			if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				config.ServerName = addr
			}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		over := tls.Client(patient, config)
		if err := over.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // the handshake's error is the one to tell
			return nil, fmt.Errorf("tls: %w", err)
		}
		return over, nil
	}
}

// patient is a connection whose writes end. Everything else is TCPConn's, also
// SyscallConn, by which clickhouse-go finds out that an idle one is dead.
type patient struct {
	*net.TCPConn
	limit time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.TCPConn.Write(b)
}
