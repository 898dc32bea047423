package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// TestStartTellsWhatToDo: each way in which a start fails names the thing that
// is wrong and what mends it.
func TestStartTellsWhatToDo(t *testing.T) {
	library := enginetest.Library(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running := enginetest.New(t, engine.Options{Dir: t.TempDir()})
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newerData := t.TempDir()
	if err := os.WriteFile(filepath.Join(newerData, "version"), []byte("99.1.2.3\nanother library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    engine.Options
		want []string
	}{
		{"no library", engine.Options{Library: "/nowhere/libchdb.so"}, []string{"/nowhere/libchdb.so", "no such file", "make build", "`engine`"}},
		{"a folder for a library", engine.Options{Library: t.TempDir()}, []string{"not a file", "libchdb.so itself"}},
		{"a damaged library", engine.Options{Library: file("libchdb.so", "\x7fELF cut off"), Dir: t.TempDir()}, []string{"load library", "damaged", "make build"}},
		{"no directory", engine.Options{Library: library}, []string{"no directory"}},
		{"directory is a file", engine.Options{Library: library, Dir: file("data", "")}, []string{"engine directory", "not a directory"}},
		{"data of a newer ClickHouse", engine.Options{Library: library, Dir: newerData}, []string{"written by ClickHouse 99.1.2.3", "is " + running.Version(), "use the newer one"}},
		{"port taken", engine.Options{Library: library, Dir: t.TempDir(), TCP: taken.Addr().String()}, []string{taken.Addr().String(), "another program listens there", "0 for any free one"}},
		{"HTTP port taken", engine.Options{Library: library, Dir: t.TempDir(), HTTP: taken.Addr().String()}, []string{"HTTP", taken.Addr().String(), "another program listens there"}},
		{"HTTP on another host", engine.Options{Library: library, Dir: t.TempDir(), HTTP: "127.0.0.2:0"}, []string{"127.0.0.2:0", "must have the host", "127.0.0.1"}},
		{"a name for an address", engine.Options{Library: library, Dir: t.TempDir(), TCP: "db.example:9000"}, []string{"db.example:9000", "must be an IP address"}},
		{"no port", engine.Options{Library: library, Dir: t.TempDir(), TCP: "127.0.0.1"}, []string{"127.0.0.1", "missing port"}},
		{"too little memory", engine.Options{Library: library, Dir: t.TempDir(), Memory: 1 << 20}, []string{"1 MiB", "at least 256 MiB", "`embedded-memory`"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := engine.Start(t.Context(), c.o)
			if err == nil {
				e.Stop()
				t.Fatal("it started")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
		})
	}
}

func TestTwoOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	e := enginetest.New(t, engine.Options{Dir: dir})
	began := time.Now()
	_, err := engine.Start(t.Context(), engine.Options{Library: enginetest.Library(t), Dir: dir})
	if !errors.Is(err, engine.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second start: %v, want ErrInUse and the directory", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v to say so", took)
	}
	// The refused one has not harmed the first.
	eval[uint8](t, dial(t, e.DSN()), "SELECT 1")
	if err := e.Stop(); err != nil {
		t.Fatal(err)
	}
	enginetest.New(t, engine.Options{Dir: dir})
}

// TestStartGivesUpWithContext: a child that never says ready is killed.
func TestStartGivesUpWithContext(t *testing.T) {
	before := children(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := engine.Start(ctx, engine.Options{Library: enginetest.Library(t), Dir: t.TempDir()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Start = %v", err)
	}
	if after := children(t); !slices.Equal(before, after) {
		t.Errorf("children before %v, after %v", before, after)
	}
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "an engine – of <Zoë's>") // and any name will do
	e := enginetest.New(t, engine.Options{Dir: dir, ReaderPassword: "known"})
	exec1(t, dial(t, e.DSN()), "CREATE TABLE passalong.t (n UInt8) ENGINE = MergeTree ORDER BY n SETTINGS fsync_after_insert = 1, fsync_part_directory = 1",
		"INSERT INTO passalong.t VALUES (1)")
	for _, name := range []string{"config.xml", "users.xml", "version", "lock"} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		b, _ := os.ReadFile(path)
		for _, secret := range []string{"known", strings.Split(strings.Split(e.DSN(), "@")[0], ":")[2]} {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s holds a password in the clear", name)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "store")); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
}

// TestSandbox: what lies beside the engine's directory is out of its reach,
// whatever right a query has.
func TestSandbox(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "admin-token")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PASSALONG_ADMIN_TOKEN", "secret")
	t.Setenv("SOME_CLOUD_KEY", "secret")
	e := enginetest.New(t, engine.Options{Dir: filepath.Join(dir, "engine")})
	for _, dsn := range []string{e.DSN(), e.ReaderDSN()} {
		c := dial(t, dsn)
		for _, path := range []string{secret, "../admin-token", "/proc/self/cwd/../admin-token", "/etc/passwd", os.Args[0]} {
			var got string
			if err := c.QueryRow(t.Context(), "SELECT file(?)", path).Scan(&got); err == nil {
				t.Errorf("read %s: %d bytes", path, len(got))
			}
		}
		if got := eval[string](t, c, "SELECT file('/proc/self/environ')"); strings.Contains(got, "secret") {
			t.Errorf("the child's environment holds what is not its own: %q", got)
		}
	}
}

func TestLocal(t *testing.T) {
	library := enginetest.Library(t)
	var out strings.Builder
	err := engine.Local(t.Context(), library, strings.NewReader("n\ts\nUInt8\tString\n1\ta\n2\tb\\tc\n"), &out,
		"SELECT * FROM file('-', TSVWithNamesAndTypes) ORDER BY n DESC", "JSONEachRow")
	if want := "{\"n\":2,\"s\":\"b\\tc\"}\n{\"n\":1,\"s\":\"a\"}\n"; err != nil || out.String() != want {
		t.Errorf("got %q, %v, want %q", out.String(), err, want)
	}

	out.Reset()
	err = engine.Convert(t.Context(), library, strings.NewReader("\x07\x05it's!"), "`n – m` UInt8, `it's` String", &out, "JSONEachRow")
	if want := "{\"n – m\":7,\"it's\":\"it's!\"}\n"; err != nil || out.String() != want {
		t.Errorf("got %q, %v, want %q", out.String(), err, want)
	}

	err = engine.Local(t.Context(), library, strings.NewReader(""), io.Discard, "SELECT 1", "NoSuchFormat")
	if err == nil || !strings.Contains(err.Error(), "NoSuchFormat") {
		t.Errorf("unknown format: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err = engine.Local(ctx, library, strings.NewReader(""), io.Discard, "SELECT sum(number) FROM system.numbers", "TSV")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query without end: %v", err)
	}
	if v, err := engine.Version(t.Context(), library); err != nil || !strings.HasPrefix(v, "26.") {
		t.Errorf("Version = %q, %v", v, err)
	}
}
