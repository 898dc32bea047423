package store

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A server that takes nothing more, as one that is stopped.
func TestAWriteToAStoppedServerEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := dial(200*time.Millisecond, time.Second, nil)(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, ok := conn.(syscall.Conn); !ok {
		t.Error("clickhouse-go cannot look whether the connection is dead")
	}
	block := make([]byte, 1<<20)
	for range 64 { // more than the buffers of both ends hold
		if _, err = conn.Write(block); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}
