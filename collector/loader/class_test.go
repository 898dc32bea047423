package loader

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine/enginetest"
)

// behind connects to a server that a function plays, for one connection. The
// function gets the address of the real one.
func behind(t *testing.T, dsn string, play func(client *net.TCPConn, server string)) (w *world, end func()) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	u.Host = l.Addr().String()
	var over sync.WaitGroup
	accepted := make(chan *net.TCPConn, 1)
	over.Go(func() {
		defer close(accepted)
		client, err := l.AcceptTCP()
		l.Close()
		if err != nil {
			return
		}
		accepted <- client
		play(client, server)
		client.Close()
	})
	w = &world{TB: t, conn: dial(t, u.String())}
	return w, func() {
		w.conn.Close()
		l.Close()
		// clickhouse-go 2.50 does not close a connection whose handshake failed; the
		// collector of garbage does.
		if client := <-accepted; client != nil {
			client.Close()
		}
		over.Wait()
	}
}

// record lets a session with a server run and returns what the server said.
func record(t *testing.T, dsn string, session func(w *world) error) []byte {
	t.Helper()
	var said bytes.Buffer
	w, end := behind(t, dsn, func(client *net.TCPConn, address string) {
		server, err := net.Dial("tcp", address)
		if err != nil {
			t.Error(err)
			return
		}
		go func() { // ends with the client's connection, and the other copy with this one
			defer server.Close()
			_, _ = io.Copy(server, client)
		}()
		_, _ = io.Copy(io.MultiWriter(&said, client), server)
	})
	if err := session(w); err != nil {
		t.Fatal(err)
	}
	end()
	return said.Bytes()
}

// Wherever the server's words end, in the handshake, in columns or in rows, it
// is the connection that is to blame, and nothing on this side.
func TestAConversationThatBreaksOffIsTheConnections(t *testing.T) {
	dsn := enginetest.Start(t).DSN()
	w := newWorld(t)
	w.exec("CREATE TABLE IF NOT EXISTS passalong.broken_off (n UInt64, s LowCardinality(String), t DateTime64(3)) ENGINE = Memory")
	t.Cleanup(func() { w.exec("DROP TABLE passalong.broken_off") })
	limit := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	for name, session := range map[string]func(w *world) error{
		"a query": func(w *world) error {
			var n, other uint64
			return w.conn.QueryRow(limit(), "SELECT count(), uniqExact(number) FROM numbers(1000)").Scan(&n, &other)
		},
		"an insert": func(w *world) error {
			batch, err := w.conn.PrepareBatch(limit(), "INSERT INTO passalong.broken_off (n, s, t)")
			if err == nil {
				if err = batch.Append(uint64(1), "a", time.Now()); err == nil {
					err = batch.Send()
				}
			}
			return err
		},
		"a statement": func(w *world) error {
			return w.conn.Exec(limit(), "TRUNCATE TABLE passalong.broken_off")
		},
	} {
		said := record(t, dsn, session)
		if len(said) < 25 { // its hello alone
			t.Fatalf("%s: the server said %d bytes", name, len(said))
		}
		for n := 0; n < len(said); n += 1 + min(n/64, 1)*28 { // each byte of the handshake
			cut, end := behind(t, dsn, func(client *net.TCPConn, _ string) {
				_, _ = client.Write(said[:n])
				_ = client.CloseWrite()
				_, _ = io.Copy(io.Discard, client) // a reset would take back what was said
			})
			err := session(cut)
			if class, _ := classify(err); err != nil && class != ClassConnection {
				t.Errorf("%s, cut after %d of %d bytes: %s: %v", name, n, len(said), class, err)
			}
			end()
		}
	}
}
