package torture

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// Why the loader counts rows: an insert that dies between the line in the
// deduplication log and the rename of its part is dropped by ClickHouse when it
// is sent again under the same token, and answered as done. Under a new token it
// is not. The day this test fails, ClickHouse has mended it.
func TestRetryUnderTheSameTokenLosesTheRows(t *testing.T) {
	t.Parallel()
	e := enginetest.New(t, engine.Options{})
	conn := dial(t, e.DSN())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	const table = `CREATE TABLE passalong.numbers (n UInt64) ENGINE = MergeTree ORDER BY n
		SETTINGS non_replicated_deduplication_window = 100, fsync_after_insert = 1, fsync_part_directory = 1`
	if err := conn.Exec(ctx, table); err != nil {
		t.Fatal(err)
	}
	insert := func(token string) error {
		return conn.Exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0, "insert_deduplication_token": token})),
			"INSERT INTO passalong.numbers SELECT number FROM numbers(1000)")
	}
	count := func() (n uint64) {
		t.Helper()
		if err := conn.QueryRow(ctx, "SELECT count() FROM passalong.numbers").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	var killed atomic.Bool
	pid := e.PID()
	tr := trace(t, pid, []string{"rename", "renameat", "renameat2"}, func(c call) {
		if strings.Contains(c.path, "tmp_insert") && killed.CompareAndSwap(false, true) {
			killProcess(pid)
		}
	})
	if err := insert("a"); err == nil || !killed.Load() {
		t.Fatalf("the engine was to be killed at the rename, and the insert ended with %v", err)
	}
	tr.detach()
	for ; e.Generation() < 2; time.Sleep(10 * time.Millisecond) { // Ready may still speak of the one that was killed
		if err := ctx.Err(); err != nil {
			t.Fatal("the engine is not started again")
		}
	}
	if err := e.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Fatalf("%d rows after the kill, so it came too late", n)
	}
	if err := insert("a"); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 0 {
		t.Errorf("%d rows after the second attempt: the token alone would do", n)
	}
	if err := insert("b"); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 1000 {
		t.Errorf("%d rows under a new token, want 1000", n)
	}
}
