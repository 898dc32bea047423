package torture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
)

// TestMain is also the engine of the tests that run a ClickHouse of their own.
func TestMain(m *testing.M) {
	engine.Child()
	code := m.Run()
	os.RemoveAll(built.dir)
	os.Exit(code)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// binary is the real passalong, built once for all tests of a run and only
// when one needs it.
func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "passalong-torture-"); built.err == nil {
			built.err = build(filepath.Join(built.dir, "passalong"), "..")
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "passalong")
}

// build makes the binary of the tree whose folder collector is given, with
// more arguments for `go build` if there are any.
func build(to, collector string, more ...string) error {
	args := append([]string{"build", "-trimpath", "-o", to}, more...)
	cmd := exec.Command("go", append(args, "./cmd/passalong")...)
	cmd.Dir = collector
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build passalong: %w\n%s", err, out)
	}
	return nil
}

// Depths of a run.
const (
	quick = iota // make test
	short        // make torture
	long         // a night
)

func depth(t testing.TB) int {
	t.Helper()
	switch d := os.Getenv("TORTURE"); d {
	case "":
		return quick
	case "short":
		return short
	case "long":
		return long
	default:
		t.Fatalf("TORTURE=%s is not short or long", d)
		return quick
	}
}

// at picks by depth.
func at[T any](t testing.TB, q, s, l T) T {
	t.Helper()
	return [...]T{q, s, l}[depth(t)]
}

// only skips a test that is too long for the depths below.
func only(t testing.TB, least int) {
	t.Helper()
	if depth(t) < least {
		t.Skipf("only with TORTURE=%s", [...]string{"", "short", "long"}[least])
	}
}

// seed is where chance begins in this test. A failure prints the command that
// begins there again. In `make test` it is always the same.
func seed(t testing.TB) uint64 {
	t.Helper()
	n := at(t, 1, uint64(time.Now().UnixNano())%1_000_000, uint64(time.Now().UnixNano())%1_000_000)
	if given := os.Getenv("TORTURE_SEED"); given != "" {
		var err error
		if n, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("TORTURE_SEED=%s: %v", given, err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again: TORTURE=%s TORTURE_SEED=%d go test -count 1 -timeout 40m -run '^%s$' ./collector/torture", os.Getenv("TORTURE"), n, pattern(t.Name()))
		}
	})
	return n
}

// pattern makes a subtest's name one for -run.
func pattern(name string) string {
	var out []byte
	for _, c := range []byte(name) {
		if c == '/' {
			out = append(out, "$/^"...)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

// chance is a source of it, one for each purpose: what one of them draws must
// not depend on how often another was asked.
func chance(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }
