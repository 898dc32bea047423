// Package enginetest gives tests a real ClickHouse.
//
//	func TestMain(m *testing.M) { enginetest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		e := enginetest.Start(t) // shared by the tests of this binary
//		enginetest.Reset(t)      // where the test must find it empty
//	}
//
// Start costs 0.2 s once, Reset some milliseconds. Tests that share the engine
// must not run in parallel with one that calls Reset. For an engine of its own
// a test calls New; its DSN is as good as that of a server elsewhere, which is
// how the setting `clickhouse` is tested.
//
// The library is never downloaded here. PASSALONG_ENGINE names it, else
// bin/libchdb.so at the module's root, where `make build` puts it; without it a
// test fails and is not skipped.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/bundle"
	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/store"
)

var shared struct {
	sync.Mutex
	engine *engine.Engine
	dir    string
}

// Main runs the tests, stops the shared engine and exits. Call it from
// TestMain, and nothing before it.
func Main(m *testing.M) {
	engine.Child()
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "enginetest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.engine == nil {
		return nil
	}
	err := shared.engine.Stop()
	shared.engine = nil
	return errors.Join(err, os.RemoveAll(shared.dir))
}

// Start returns the engine that the tests of this binary share. It is stopped
// by Main.
func Start(t testing.TB) *engine.Engine {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.engine != nil {
		return shared.engine
	}
	dir, err := os.MkdirTemp("", "passalong-engine-")
	if err != nil {
		t.Fatal(err)
	}
	// Its log goes to standard error: what happens to it concerns every test.
	e, err := engine.Start(context.Background(), engine.Options{Library: Library(t), Dir: dir})
	if err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	shared.engine, shared.dir = e, dir
	return e
}

// New starts an engine for this test alone and stops it with the test. Library
// and Dir may be left out, the log is the test's.
func New(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Library == "" {
		o.Library = Library(t)
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	e, err := engine.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Reset empties the shared engine: both databases and all SQL functions go,
// the database that the DSN names is made again.
func Reset(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := store.Open(Start(t).DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Wait(ctx); err != nil {
		t.Fatal("reset engine:", err)
	}
	var functions []string
	if err := db.Conn().QueryRow(ctx, "SELECT arraySort(groupArray(name)) FROM system.functions WHERE origin = 'SQLUserDefined'").Scan(&functions); err != nil {
		t.Fatal("reset engine:", err)
	}
	statements := []string{"DROP DATABASE IF EXISTS passalong_private SYNC"}
	for _, f := range functions {
		statements = append(statements, "DROP FUNCTION `"+f+"`")
	}
	// In this order: the connection's own database is gone only for a moment.
	statements = append(statements, "DROP DATABASE IF EXISTS passalong SYNC", "CREATE DATABASE passalong")
	for _, s := range statements {
		if err := db.Conn().Exec(ctx, s); err != nil {
			t.Fatalf("reset engine: %s: %v", s, err)
		}
	}
}

// Library is the path of the engine's library.
func Library(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("PASSALONG_ENGINE"); path != "" {
		return path
	}
	start, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			if dir == filepath.Dir(dir) {
				t.Fatalf("no go.mod above %s: set PASSALONG_ENGINE", start)
			}
			continue
		}
		path := filepath.Join(dir, "bin", bundle.Engine)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make build`, or set PASSALONG_ENGINE", err)
		}
		return path
	}
}
