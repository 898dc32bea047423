package spool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

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

func engineOptions(fs vfs.FS, memtable uint64, log *engineLog, damaged func(error)) *pebble.Options {
	o := &pebble.Options{
		FS:                 fs,
		Cleaner:            cleaner{},
		FormatMajorVersion: pebbleFormat,
		Logger:             log,
		// Events pass through once: a cache helps only the look-up of identities.
		CacheSize:                   8 << 20,
		MaxOpenFiles:                256,
		MemTableSize:                memtable,
		MemTableStopWritesThreshold: 4,
		// FlushDelayDeleteRange stays 0: its goroutine would rotate a log that has failed,
		// and panic over it. See flushSoon.
		EventListener: &pebble.EventListener{
			// Without a listener of its own Pebble ends the process here.
			DataCorruption: func(info pebble.DataCorruptionInfo) { damaged(info.Details) },
			BackgroundError: func(err error) {
				if noSpace(err) {
					return // the gate says so, and once
				}
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

func openEngine(fs vfs.FS, dir string, memtable uint64, log *engineLog, damaged func(error)) (*pebble.DB, error) {
	return pebble.Open(dir, engineOptions(fs, memtable, log, damaged))
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
