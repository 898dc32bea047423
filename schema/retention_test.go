package schema

import (
	"context"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
)

// Months that lie wholly before the retention go, with their nodes; the month
// that still has something younger stays whole.
func TestRetentionDropsWholeMonths(t *testing.T) {
	dsn := enginetest.New(t, engine.Options{}).DSN()
	if err := Apply(t.Context(), dsn, Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	db := open(t, dsn)
	for _, at := range []string{"2026-02-28 00:00:00", "2026-03-02 00:00:00"} {
		db.run(t, "INSERT INTO passalong_private.erase_orders (id, site, kind, at) VALUES ('o', 's', 'token', '"+at+"')")
	}
	for _, at := range []string{"2026-01-15 00:00:00", "2026-02-28 23:59:59", "2026-03-01 00:00:00", "2026-04-02 00:00:00"} {
		for _, insert := range []string{
			"INSERT INTO passalong.events (site, time, received, day, type) VALUES ('s', '" + at + "', '" + at + "', '" + at[:10] + "', 'view')",
			"INSERT INTO passalong.lineage (site, token, kind, time, received) VALUES ('s', '" + at + "', 'view', '" + at + "', '" + at + "')",
		} {
			if _, err := db.ExecContext(t.Context(), insert); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	for _, want := range []int{3, 0} { // again there is nothing to do
		closed := 0
		dropped, err := Retain(t.Context(), dsn, "", before, func(context.Context) error {
			closed++
			var n uint64
			if db.one(t, "SELECT count() FROM passalong.events", &n); n != 4 {
				t.Errorf("%d rows when it is closed, want all four", n)
			}
			return nil
		})
		if err != nil || dropped != want || closed != min(want, 1) {
			t.Fatalf("dropped %d, %v, closed %d times; want %d", dropped, err, closed, want)
		}
	}
	var orders uint64
	if db.one(t, "SELECT count() FROM passalong_private.erase_orders", &orders); orders != 1 {
		t.Errorf("%d erase orders, want the one of March", orders)
	}
	for _, query := range []string{"SELECT count() FROM passalong.events", "SELECT count() FROM passalong.nodes"} {
		var n uint64
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && n != 2; {
			if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
		}
		if n != 2 {
			t.Errorf("%s: %d rows, want the two of March and April", query, n)
		}
	}
}
