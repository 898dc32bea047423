package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A guard stands between Pebble and the disk, because Pebble ends the process or
// hangs where we would rather wait. It knows three cases.
//
//   - No space for a write, a new file or a rename. Nothing has been promised
//     and nothing is lost: the kernel refused bytes it never had. The ballast is
//     given up and the same call made again; when that is not enough, a table of
//     a flush or compaction is given back to Pebble, which drops it and makes a
//     new one, and everything else waits here until there is space. Pebble never
//     hears of it.
//   - A fsync that fails, for whatever reason, or any other error of a write. It
//     is the spool's end: see the package's doc. Only a table that finds no space
//     at its fsync is dropped and made anew, under another name and with a fsync
//     of its own.
//   - Pebble panics, with a mutex in the wrong state, when its log cannot be
//     rotated or a directory not be synced; and when its Open fails it takes down
//     what its goroutines still use, or makes a table anew for ever. No defer can
//     mend that, so those goroutines stop here for ever. The spool has failed by
//     then, and the process is about to end.
type guard struct {
	vfs.FS
	s *Spool

	stage atomic.Int32
}

// The stages of a guard.
const (
	starting = iota // Pebble opens: it stops at any error, where it stands
	loading         // Pebble is open: an error is final, and no space is an error
	running         // no space is waited for
	closing         // errors go to Close. A log that Pebble rotates just now may still make it panic
)

const (
	// How often a call that found no space is made again. A guess: fast against
	// the time in which somebody makes room, and nothing for a processor.
	spaceEvery = 20 * time.Millisecond

	// How long Pebble is held up before it makes a table anew, which it would do
	// at once, for ever.
	tableEvery = 200 * time.Millisecond
)

// A part is what a file is to Pebble.
type part int

const (
	partOther part = iota // manifest, marker, label
	partLog
	partTable
	partDir
)

func (g *guard) part(path string) part {
	switch {
	case strings.HasSuffix(path, ".log"):
		return partLog
	case strings.HasSuffix(path, ".sst"):
		return partTable
	}
	return partOther
}

// noSpace tells a full disk, or a quota that is used up, from a broken one.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// settle decides what becomes of a write that returned err; again makes it once
// more. fatal: Pebble would panic over the error.
func (g *guard) settle(err error, p part, fatal bool, what string, again func() error) error {
	if !noSpace(err) {
		return g.lose(err, fatal, what)
	}
	for {
		g.s.gate.diskFull()
		if err = again(); err == nil {
			return nil
		}
		if !noSpace(err) || g.stage.Load() != running {
			return g.lose(err, fatal, what)
		}
		g.s.refuseQueued()
		if p == partTable {
			return g.giveBack(err, what)
		}
		if !g.hold(spaceEvery) {
			return g.lose(err, fatal, what)
		}
	}
}

// giveBack lets Pebble drop a table and make it anew. Pebble would do so at once,
// for ever, and meanwhile keep a commit waiting that needs room in memory: so
// there is an end to it when the spool is closed.
func (g *guard) giveBack(err error, what string) error {
	if !g.hold(tableEvery) {
		time.Sleep(tableEvery) // nobody waits for it any more
		return g.lose(err, false, what)
	}
	return err
}

// hold waits for d, and says whether it is worth trying again.
func (g *guard) hold(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.s.closed:
	case <-g.s.failed:
	}
	return false
}

// synced decides what becomes of a fsync that returned err.
func (g *guard) synced(err error, p part, fatal bool, what string) error {
	if p == partTable && noSpace(err) && g.stage.Load() == running {
		g.s.gate.diskFull()
		g.s.refuseQueued()
		return g.giveBack(err, what)
	}
	return g.lose(err, fatal, what)
}

// lose makes err the spool's end.
func (g *guard) lose(err error, fatal bool, what string) error {
	err = fmt.Errorf("%s: %w", what, err)
	switch g.stage.Load() {
	case starting:
		fatal = true
	case closing:
		return err
	}
	_ = g.s.fail(err) // whoever waits hears of it from there
	if fatal {
		g.park()
	}
	return err
}

// park keeps a goroutine of Pebble from going on.
func (g *guard) park() { select {} }

// what names a step, for an error.
func (g *guard) what(verb, path string) string { return verb + " " + g.PathBase(path) }

func (g *guard) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, category)
	p := g.part(name)
	if err != nil {
		err = g.settle(err, p, p == partLog, g.what("create", name), func() (err error) {
			f, err = g.FS.Create(name, category)
			return err
		})
	}
	return g.file(f, err, p, name)
}

func (g *guard) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(from, to, category)
	p := g.part(to)
	if err != nil {
		err = g.settle(err, p, p == partLog, g.what("reuse", to), func() (err error) {
			f, err = g.FS.ReuseForWrite(from, to, category)
			return err
		})
	}
	return g.file(f, err, p, to)
}

func (g *guard) OpenReadWrite(name string, category vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.OpenReadWrite(name, category, o...)
	return g.file(f, err, g.part(name), name)
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.file(f, err, partDir, name)
}

func (g *guard) Rename(from, to string) error {
	err := g.FS.Rename(from, to)
	if err != nil {
		err = g.settle(err, g.part(to), false, g.what("rename to", to), func() error { return g.FS.Rename(from, to) })
	}
	return err
}

func (g *guard) MkdirAll(dir string, perm os.FileMode) error {
	err := g.FS.MkdirAll(dir, perm)
	if err != nil {
		err = g.settle(err, partDir, false, g.what("make", dir), func() error { return g.FS.MkdirAll(dir, perm) })
	}
	return err
}

// Unwrap lets Pebble find the file system below.
func (g *guard) Unwrap() vfs.FS { return g.FS }

func (g *guard) file(f vfs.File, err error, p part, name string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, guard: g, part: p, name: name}, nil
}

// endsLog tells whether b ends as Pebble ends a log; see tail.go.
func endsLog(b []byte) bool {
	at := len(b) - chunkEndHead
	return at >= 0 && binary.LittleEndian.Uint32(b[at:]) == 0 && binary.LittleEndian.Uint16(b[at+4:]) == 0 && b[at+6] == chunkEnd
}

type guardFile struct {
	vfs.File
	guard *guard
	part  part
	name  string

	// The mark of an orderly end was written: Pebble is closing this log, and
	// panics when it cannot.
	ending atomic.Bool
}

// fatal tells whether Pebble would panic over an error of this file.
func (f *guardFile) fatal() bool { return f.part == partDir || f.ending.Load() }

func (f *guardFile) Write(b []byte) (int, error) {
	if f.part == partLog && endsLog(b) {
		f.ending.Store(true)
	}
	n, err := f.File.Write(b)
	if err != nil {
		err = f.guard.settle(err, f.part, f.fatal(), f.guard.what("write", f.name), func() error {
			more, err := f.File.Write(b[n:])
			n += more
			return err
		})
	}
	return n, err
}

func (f *guardFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(b, at)
	if err != nil {
		err = f.guard.settle(err, f.part, f.fatal(), f.guard.what("write", f.name), func() error {
			more, err := f.File.WriteAt(b[n:], at+int64(n))
			n += more
			return err
		})
	}
	return n, err
}

func (f *guardFile) Sync() error {
	err := f.File.Sync()
	if err != nil {
		err = f.guard.synced(err, f.part, f.fatal(), f.guard.what("fsync", f.name))
	}
	return err
}

func (f *guardFile) SyncData() error {
	err := f.File.SyncData()
	if err != nil {
		err = f.guard.synced(err, f.part, f.fatal(), f.guard.what("fsync", f.name))
	}
	return err
}

func (f *guardFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	if err != nil {
		err = f.guard.synced(err, f.part, f.fatal(), f.guard.what("fsync", f.name))
	}
	return full, err
}

// Close tells of a write that failed on the way to a server, on some file
// systems: it counts as a fsync.
func (f *guardFile) Close() error {
	err := f.File.Close()
	if err != nil && f.part != partDir {
		err = f.guard.synced(err, f.part, f.fatal(), f.guard.what("close", f.name))
	}
	return err
}
