package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// member is a beacon of a reader who consented: a view, and a text of theirs.
func member(page, token, via, visitor string) string {
	body := strings.Replace(view(page, token, via), `"seq":0`, `"seq":0,"visitor":"`+visitor+`"`, 1)
	return strings.Replace(body, `"events":[`, `"events":[{"type":"answer","source":"person","text":"`+visitor+` says hello","age":0},`, 1)
}

// filesWith says which files of a data directory hold a text.
func filesWith(dir, text string) (files []string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "ballast" {
			if content, err := os.ReadFile(path); err == nil && bytes.Contains(content, []byte(text)) {
				files = append(files, strings.TrimPrefix(path, dir))
			}
		}
		return nil
	})
	return files
}

var orderLine = regexp.MustCompile(`\(order [0-9a-f]{16}\)`)

// erased runs the command and returns what it says, without the order's id.
func erased(t *testing.T, args ...string) string {
	t.Helper()
	return strings.TrimSpace(orderLine.ReplaceAllString(output(t, append([]string{"erase", "--site", "news.example"}, args...)...), ""))
}

// Beside a running serve: what the reader sent a moment ago goes too, and is
// then in no file of the data directory and in no line of a log. Whoever dies
// afterwards, collector or engine, it does not come back; what the reader
// sends later is stored.
func TestEraseBesideARunningServe(t *testing.T) {
	const who, page = "member-to-be-forgotten", "https://news.example/a/b"
	dir := t.TempDir()
	s := serve(t, dir, "--site", "news.example", "--log-level", "debug", "--flush-interval", "2s")
	now := time.Now()
	ann, bob, cyd, late := mint(now, 1), mint(now, 2), mint(now, 3), mint(now, 4)
	for _, body := range []string{view(page, ann, ""), member(page, bob, ann, who), view(page, cyd, bob)} {
		if code := s.send(t, phone+body[len(body)-60:], body); code != 204 {
			t.Fatalf("%d", code)
		}
	}
	if len(filesWith(dir, who)) == 0 {
		t.Fatal("the visitor is in no file before: this test looks in the wrong place")
	}
	if got := erased(t, "--data-dir", dir, "--visitor", who); got != "removed 2 events, 1 texts, 1 nodes; nothing is left" {
		t.Errorf("it says %q", got)
	}
	rows := func(when string) {
		t.Helper()
		s.await(t, "select token, origin, depth from nodes order by depth", "token\torigin\tdepth\n"+ann+"\t"+ann+"\t0\n"+cyd+"\t"+ann+"\t2\n")
		s.await(t, "select count() from events", "count()\n2\n")
		var left []string
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if left = filesWith(dir, who); len(left) == 0 {
				break
			}
		}
		if len(left) > 0 {
			t.Errorf("%s: the visitor is still in %v", when, left)
		}
	}
	rows("after it")
	if strings.Contains(s.log.String(), who) || strings.Contains(s.log.String(), bob) {
		t.Errorf("the log names whom it erased:\n%s", s.log)
	}
	s.kill(t)
	s = serve(t, dir, "--site", "news.example")
	rows("after a crash")
	if code := s.send(t, phone, member(page, late, "", who)); code != 204 {
		t.Fatalf("%d", code)
	}
	s.await(t, "select count() from events where consented = 1", "count()\n2\n")
	if got := erased(t, "--data-dir", dir, "--token", late); got != "removed 2 events, 1 texts, 1 nodes; nothing is left" {
		t.Errorf("it says %q", got)
	}
	s.stop(t)
	if got := erased(t, "--data-dir", dir, "--token", late); got != "nothing was found: removed 0 events, 0 texts, 0 nodes" {
		t.Errorf("without serve it says %q", got)
	}
}

// On one server with two collectors: what one of them has waiting while the
// other's command erases is left out when it comes, also when that collector
// is stopped in the middle of it.
func TestEraseWithTwoCollectors(t *testing.T) {
	const who, page = "member-to-be-forgotten", "https://news.example/a/b"
	server := enginetest.New(t, engine.Options{}).DSN()
	a := serve(t, t.TempDir(), "--clickhouse", server, "--site", "news.example")
	b := serve(t, t.TempDir(), "--clickhouse", server, "--site", "news.example")
	output(t, "migrate", "--clickhouse", server) // both do; the tables are to be asked at once
	now := time.Now()
	if code := a.send(t, phone, member(page, mint(now, 1), "", who)); code != 204 {
		t.Fatalf("a: %d", code)
	}
	b.awaitOn(t, server, "select count() from nodes", "count()\n1\n")
	if code := b.send(t, phone, member(page, mint(now, 2), mint(now, 1), who)); code != 204 {
		t.Fatalf("b: %d", code)
	}
	if code := b.send(t, phone+" x", view(page, mint(now, 3), mint(now, 2))); code != 204 {
		t.Fatalf("b: %d", code)
	}
	// It has taken them and stands still, wherever it is on the way.
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	got := erased(t, "--clickhouse", server, "--data-dir", a.dir, "--visitor", who)
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "removed ") {
		t.Errorf("it says %q", got)
	}
	b.awaitOn(t, server, "select count(), countIf(consented = 1), (select count() from nodes) as nodes from events", "count()\tcountIf(equals(consented, 1))\tnodes\n1\t0\t1\n")
	// From a machine without a data directory.
	if got := erased(t, "--clickhouse", server, "--data-dir", filepath.Join(t.TempDir(), "none"), "--token", mint(now, 3)); got != "removed 1 events, 0 texts, 1 nodes; nothing is left" {
		t.Errorf("it says %q", got)
	}
	b.awaitOn(t, server, "select count() from events", "count()\n0\n")
}
