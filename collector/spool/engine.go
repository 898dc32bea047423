package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleFormat pins Pebble's own format, so that a newer Pebble does not change
// the files by itself. This one tells a torn end of the log from damage in it
// (sync offsets) and checks the footers of its tables. Whoever raises it raises
// spoolFormat too: an older Pebble cannot open the files to read who wrote them.
const pebbleFormat = pebble.FormatTableFormatV6

func engineOptions(fs vfs.FS, log *engineLog, damaged func(error)) *pebble.Options {
	o := &pebble.Options{
		FS:                 fs,
		FormatMajorVersion: pebbleFormat,
		Logger:             log,
		// Events pass through once: a cache helps only the look-up of identities.
		CacheSize:    8 << 20,
		MaxOpenFiles: 256,
		// As measured for the decision to use Pebble; larger only moves the work.
		MemTableSize:                16 << 20,
		MemTableStopWritesThreshold: 4,
		// Without it a drained spool keeps its space until enough new events came.
		FlushDelayDeleteRange: 500 * time.Millisecond,
		EventListener: &pebble.EventListener{
			// Without a listener of its own Pebble ends the process here.
			DataCorruption: func(info pebble.DataCorruptionInfo) { damaged(info.Details) },
			BackgroundError: func(err error) {
				log.log.Warn("spool: work in the background has to be repeated", "error", err.Error())
			},
			WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
				log.log.Warn("spool: writes wait for the disk", "reason", info.Reason)
			},
		},
	}
	for i := range o.Levels {
		// Almost every look-up of an identity is for one that is not there.
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		// Events are deleted soon after; the cheapest compression halves the writing.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	return o
}

// openEngine opens Pebble. It runs in a goroutine of its own because Pebble
// reports a failed manifest from the background and then waits for ever.
func openEngine(fs vfs.FS, dir string, log *engineLog, damaged func(error), failed <-chan struct{}) (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		defer func() {
			// Bytes that make Pebble panic are damage too.
			if r := recover(); r != nil {
				opened <- result{err: damagef("engine: %v", r)}
			}
		}()
		db, err := pebble.Open(dir, engineOptions(fs, log, damaged))
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		return r.db, r.err
	case <-failed:
		return nil, errors.New("engine gave up")
	}
}

// engineLog is where Pebble writes. Its chatter is for those who debug.
type engineLog struct {
	log  *slog.Logger
	fail func(error) error
}

func (l *engineLog) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble", "text", fmt.Sprintf(format, args...))
	}
}

func (l *engineLog) Errorf(format string, args ...any) {
	l.log.Error("pebble", "text", fmt.Sprintf(format, args...))
}

// Fatalf is called when Pebble cannot go on: its log or its manifest could not
// be written. Pebble expects never to return from it. Returning would let a
// commit report success, or the manifest be written once more after a failed
// fsync and be believed. So the goroutine ends here; its mutexes are released
// on the way, and those who wait hear of it from fail.
func (l *engineLog) Fatalf(format string, args ...any) {
	_ = l.fail(fmt.Errorf("engine: %s", fmt.Sprintf(format, args...))) // it is the report itself
	runtime.Goexit()
}
