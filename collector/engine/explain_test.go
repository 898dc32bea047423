package engine

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestExplain holds what ClickHouse 26.7 and the loader really say, where a
// test cannot bring the situation about everywhere.
func TestExplain(t *testing.T) {
	for _, c := range []struct{ name, said, want string }{
		{"disk full", "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)", "disk is full"},
		{"disk full on write", "Code: 75. DB::ErrnoException: Cannot write to file x: , errno: 28, strerror: No space left on device. (CANNOT_WRITE_TO_FILE_DESCRIPTOR)", "disk is full"},
		{"port taken since it was reserved", "Code: 210. DB::Exception: Listen [127.0.0.1]:19001 failed: Poco::Exception. Code: 1000, e.code() = 98, Net Exception: Address already in use: 127.0.0.1:19001 (version 26.7.2.1). (NETWORK_ERROR)", "another program took the port"},
		{"not writable", "Code: 76. DB::ErrnoException: Cannot open file /data/status: , errno: 13, strerror: Permission denied. (CANNOT_OPEN_FILE)", "must be writable"},
		{"not glibc", "engine: load library: Error relocating /libchdb.so: fcntl64: symbol not found", "needs glibc"},
		{"wrong machine", "engine: load library: /libchdb.so: wrong ELF class", "another kind of machine"},
		{"nothing said", "", "without a word"},
		{"something else", "Code: 1001. DB::Exception: strange. (STD_EXCEPTION) (version 26.7.2.1 (official build))", "strange"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := explain(c.said, errors.New("exit status 1"))
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "DB::") || strings.Contains(err.Error(), "version 26") {
				t.Errorf("%v", err)
			}
			if errors.Is(err, errLocked) {
				t.Error("taken for a lock")
			}
		})
	}
	if err := explain("Code: 76. DB::Exception: Cannot lock file /data/status. Another server instance in same directory is already running. (CANNOT_OPEN_FILE)", nil); !errors.Is(err, errLocked) {
		t.Errorf("a lock: %v", err)
	}

	cmd := exec.Command("sh", "-c", "kill -ILL $$")
	if err := explain("", cmd.Run()); !strings.Contains(err.Error(), "AVX2") {
		t.Errorf("illegal instruction: %v", err)
	}
}

// TestOrphanLimit: a child whose standard input never ends, because somebody
// holds a copy of it, still goes when its parent is gone.
func TestOrphanLimit(t *testing.T) {
	t.Parallel()
	library, err := filepath.Abs("../../bin/libchdb.so") // enginetest would be an import cycle
	if p := os.Getenv("PASSALONG_ENGINE"); p != "" {
		library = p
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd, err := command(library, serveMode, "--path="+filepath.Join(dir, "data"), "--query=INSERT INTO FUNCTION null('l String') FROM INFILE '/dev/stdin' FORMAT LineAsString")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Dir = dir
	held, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	_, ready, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	aliveChild, alive, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{ready, aliveChild}
	said := newTail()
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	aliveChild.Close()
	alive.Close() // as when the parent dies
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("ended with %v, want an exit by itself; it said %s", err, said)
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"26.7.2.1", "26.7.2.1", false},
		{"26.7.3.1", "26.7.2.1", false}, // a patch: data stays readable
		{"26.8.1.1", "26.7.2.1", true},
		{"26.10.1.1", "26.9.2.1", true},
		{"27.1.1.1", "26.12.2.1", true},
		{"25.12.1.1", "26.1.1.1", false},
		{"", "26.7.2.1", false},
	} {
		if got := newer(c.a, c.b); got != c.want {
			t.Errorf("newer(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestTail(t *testing.T) {
	tl := newTail()
	for range 1000 {
		tl.Write([]byte("0123456789"))
	}
	tl.Write([]byte("\n(query_id: 7) (query: SELECT '0Kd3hP9aQzT') Received signal\nlast"))
	got := tl.String()
	if len(got) > tailLimit || !strings.HasSuffix(got, "last") {
		t.Errorf("%d bytes, ends in %q", len(got), got[len(got)-10:])
	}
	if strings.Contains(got, "0Kd3hP9aQzT") {
		t.Error("the text of a query would reach the log")
	}
}
