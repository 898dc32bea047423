package spool

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Purge takes what Release has deleted off the disk. Left to itself Pebble does
// so when enough new events have come, which on a quiet site takes days.
//
// What is not yet released stays. A spool.damaged directory is not looked at.
func (s *Spool) Purge(ctx context.Context) error {
	s.use.RLock()
	defer s.use.RUnlock()
	select {
	case <-s.ended:
		return s.over()
	default:
	}
	// The log holds every event until its memtable is a table; the table holds
	// it until the deletion that lies above it is compacted into it. The flush is
	// begun by the committer, as every new log: see flushSoon.
	var flushed <-chan struct{}
	err := s.do(func() (err error) {
		flushed, err = s.db.AsyncFlush()
		return err
	})
	if err != nil {
		return fmt.Errorf("purge: flush: %w", err)
	}
	select {
	case <-flushed:
	case <-s.failed:
		return s.Err()
	case <-ctx.Done():
		return fmt.Errorf("purge: flush: %w", ctx.Err())
	}
	if err := s.db.Compact(ctx, []byte{prefixGroup}, []byte{prefixGroup + 1}, false); err != nil {
		return fmt.Errorf("purge: compact: %w", err)
	}
	return nil
}

// cleaner deletes files that Pebble needs no more, as its DeleteCleaner does.
// What it takes from the other one is that Pebble does not keep logs to write
// over them (noRecycle in pebble's obsolete_files.go): such a log has the events
// of its former life in it for as long as nobody comes. The method that says so
// is not exported, so it is inherited; Clean is DeleteCleaner's, which is nearer.
type cleaner struct {
	pebble.DeleteCleaner
	noRecycle
}

type noRecycle struct{ pebble.ArchiveCleaner }
