package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A gate decides before each group whether it may be written. A full disk must
// be met here: Pebble itself hangs or ends the process when it runs out.
//
// Once shut it opens with some room to spare, so that it does not flutter at the
// edge. Marks, cuts and deletions do not pass through it: they make room.
type gate struct {
	fs      vfs.FS // bare: diskFull runs inside the wrapped one
	dir     string
	limit   int64
	reserve int64 // as asked for; 0 = by the size of the disk
	log     *slog.Logger

	mu     sync.Mutex
	full   string // why it is shut, or empty
	looked time.Time
	free   int64 // -1: not known
	keep   int64 // bytes to leave free

	ballast bool // it is on disk
	hit     bool // a write met the full disk, and the ballast was given up for it
}

const (
	fullLimit = "limit"
	fullDisk  = "disk"

	// The limit opens again below this part of it. A guess: some seconds of a
	// busy site at the default limit.
	limitAgain = 0.95

	// How long a look at the free space holds. At the highest rate measured,
	// 150 MB/s, 3 MB are written meanwhile: far less than the reserve.
	lookEvery = 20 * time.Millisecond

	ballastName = "ballast"
)

func newGate(o Options, log *slog.Logger) *gate {
	return &gate{
		fs: o.FS, dir: o.Dir, limit: o.Limit, reserve: o.Reserve, log: log, free: -1,
	}
}

// admit returns nil or ErrFull with its reason.
func (g *gate) admit(stored, size int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look(time.Now())
	was := g.full
	switch {
	case g.hit || g.free >= 0 && g.free < g.wanted(g.full == fullDisk):
		g.full = fullDisk
	case stored+size > g.limit, g.full == fullLimit && float64(stored) > limitAgain*float64(g.limit):
		g.full = fullLimit
	default:
		g.full = ""
	}
	if was != g.full {
		if g.full != "" {
			g.log.Warn("spool is full, events are refused", "reason", g.full, "stored", stored, "limit", g.limit, "free", g.free, "keep", g.keep)
		} else {
			g.log.Info("spool takes events again", "stored", stored, "free", g.free)
		}
	}
	switch g.full {
	case fullLimit:
		return fmt.Errorf("%w: %d bytes are stored, the limit is %d", ErrFull, stored, g.limit)
	case fullDisk:
		return fmt.Errorf("%w: the disk is, %d bytes are kept free", ErrFull, g.keep)
	}
	return nil
}

// wanted is the free space that must be there; a shut gate wants a quarter more.
func (g *gate) wanted(shut bool) int64 {
	if shut {
		return g.keep + g.keep/4
	}
	return g.keep
}

// ballastSize is what can be given up at once when a write meets the full disk:
// 64 MiB, four of Pebble's memtables, or less where the reserve is small.
func (g *gate) ballastSize() int64 { return min(g.keep/4, maxBallast) }

// look refreshes the free space and puts the ballast back when there is room.
func (g *gate) look(now time.Time) {
	first := g.looked.IsZero()
	if !first && now.Sub(g.looked) < lookEvery {
		return
	}
	g.looked = now
	usage, err := g.fs.GetDiskUsage(g.dir)
	if err != nil {
		// Not every file system tells.
		if !errors.Is(err, vfs.ErrUnsupported) && g.free >= 0 {
			g.log.Warn("free space is not known", "error", err.Error())
		}
		g.free, g.hit = -1, false
		return
	}
	g.free = int64(min(usage.AvailBytes, 1<<62))
	g.keep = g.reserve
	if g.keep <= 0 {
		g.keep = min(max(minReserve, int64(min(usage.TotalBytes/50, 1<<62))), maxReserve)
	}
	if first {
		_, err := g.fs.Stat(g.fs.PathJoin(g.dir, ballastName))
		g.ballast = err == nil
	}
	if g.free < g.wanted(true) {
		return
	}
	g.hit = false
	if !g.ballast && g.free >= g.wanted(true)+g.ballastSize() {
		g.ballast = g.layBallast()
	}
}

// layBallast takes its blocks without writing them. A file system that cannot
// do that goes without: the reserve is the first line of defence anyway.
func (g *gate) layBallast() bool {
	path := g.fs.PathJoin(g.dir, ballastName)
	f, err := g.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Preallocate(0, g.ballastSize()), f.Sync(), f.Close())
	}
	if err != nil {
		g.log.Debug("no ballast", "error", err.Error())
		_ = g.fs.Remove(path) // perhaps it was not even made
		return false
	}
	return true
}

// diskFull is called by Pebble's file system when a write finds no space. The
// write is tried once more afterwards, into the room the ballast leaves.
func (g *gate) diskFull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hit, g.ballast = true, false
	g.looked = time.Now() // shut for this long at least, also where free space is not told
	if err := g.fs.Remove(g.fs.PathJoin(g.dir, ballastName)); err != nil {
		g.log.Error("disk is full, and there is no ballast to give up", "error", err.Error())
		return
	}
	g.log.Error("disk is full, the ballast was given up")
}

func (g *gate) state() (full string, free int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.full, g.free
}
