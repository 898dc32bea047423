package loader

import (
	"context"
	"fmt"
	"time"
)

// Drain returns when every event appended before the call is in every table, or
// left out by an order, and gone from the disk that the spool lies on. Whatever
// an attempt had begun before the call is over. It needs Run.
//
// It is for erasing: what is loaded stays in the spool otherwise, for a minute
// and until Pebble tidies up.
func (l *Loader) Drain(ctx context.Context) error {
	target := l.o.Spool.Stats().NextRow
	if err := l.Flush(ctx); err != nil {
		return err
	}
	for !l.released(target) {
		l.mu.Lock()
		l.hasten = time.Now() // anew, because an engine that starts again has batches counted and kept again
		news, unsynced := l.news, l.unsynced
		l.mu.Unlock()
		if unsynced != nil {
			return fmt.Errorf("drain: sync the data directory: %w", unsynced)
		}
		wait := time.NewTimer(time.Second)
		select {
		case <-news:
		case <-wait.C:
		case <-l.stopped:
			wait.Stop()
			return errNotRunning
		case <-ctx.Done():
			wait.Stop()
			return fmt.Errorf("drain: wait for the release of row %d: %w", target, ctx.Err())
		}
		wait.Stop()
	}
	return l.o.Spool.Purge(ctx)
}

// released says whether no row below is stored in the spool any more.
func (l *Loader) released(row uint64) bool {
	for _, r := range l.o.Spool.Loaded() {
		if r.From < row {
			return false
		}
	}
	return true
}
