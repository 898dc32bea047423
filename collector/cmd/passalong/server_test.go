package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// With a DSN a server is used instead of the embedded engine. Here a second
// engine stands for it, and two collectors write to it: the reader of one
// collector's page passes it to a reader of the other's, and the same browser is
// the same visitor at both, for they share the salts.
func TestTwoCollectorsOnOneServer(t *testing.T) {
	server := enginetest.New(t, engine.Options{}).DSN()
	a := serve(t, t.TempDir(), "--clickhouse", server, "--site", "news.example")
	b := serve(t, t.TempDir(), "--clickhouse", server, "--site", "news.example")
	now := time.Now()
	first, second, third := mint(now, 1), mint(now, 2), mint(now, 3)
	const page = "https://news.example/a/b"
	// The child comes first: its parent is born at the other collector.
	if code := b.send(t, phone+" b", view(page, second, first)); code != 204 {
		t.Fatalf("b: %d", code)
	}
	b.awaitOn(t, server, "select count() from nodes", "count()\n1\n")
	if code := a.send(t, phone+" a", view(page, first, "")); code != 204 {
		t.Fatalf("a: %d", code)
	}
	if code := b.send(t, phone+" a", view(page, third, second)); code != 204 {
		t.Fatalf("b again: %d", code)
	}
	a.awaitOn(t, server, "select token, parent, depth from nodes order by depth",
		"token\tparent\tdepth\n"+first+"\t\t0\n"+second+"\t"+first+"\t1\n"+third+"\t"+second+"\t2\n")
	a.awaitOn(t, server, "select uniqExact(visitor) from nodes", "uniqExact(visitor)\n2\n")
	for _, s := range []*served{a, b} {
		if _, err := os.Stat(filepath.Join(s.dir, "clickhouse")); err == nil {
			t.Errorf("an embedded engine was started beside the server")
		}
	}
	if got := output(t, "version", "--clickhouse", server); !strings.Contains(got, "clickhouse 26.") {
		t.Errorf("version asks the server: got %s", got)
	}
}

// awaitOn asks a server by its DSN.
func (s *served) awaitOn(t *testing.T, dsn, query, want string) {
	t.Helper()
	got := ""
	// A parent born at another collector is found by a sweep, once a minute.
	for end := time.Now().Add(100 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got = output(t, "sql", "--clickhouse", dsn, query); got == want {
			return
		}
	}
	t.Fatalf("%s: got\n%s\nwant\n%s\n%s", query, got, want, s.log)
}
