package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A gate decides before each group whether it may be written, so that a full disk
// is met here and not by Pebble: its log, the flush of a memtable and its
// manifest have room in what is kept free. What others write may take that room
// away between two looks; then the guard is what helps.
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
	spent  int64 // admitted since
	total  int64 // of the disk
	keep   int64 // bytes to leave free

	ballast bool      // it is on disk
	hit     bool      // a write met the full disk; changed with atHit
	hitAt   time.Time // the last one that did
	holds   time.Duration

	atHit atomic.Bool // hit, for those who only ask
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

	// How long the gate stays shut, at least, after a write has met the full disk:
	// the free space that is told says nothing where a quota is used up. A table
	// that finds no space is tried again several times meanwhile.
	hitHolds = time.Second

	ballastName = "ballast"
)

func newGate(o Options, log *slog.Logger) *gate {
	return &gate{
		fs: o.FS, dir: o.Dir, limit: o.Limit, reserve: o.Reserve, log: log, free: -1, holds: hitHolds,
	}
}

// admit returns nil or ErrFull with its reason.
func (g *gate) admit(stored, size int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.judge(stored, size)
	switch g.full {
	case fullLimit:
		return fmt.Errorf("%w: %d bytes are stored, the limit is %d", ErrFull, stored, g.limit)
	case fullDisk:
		return fmt.Errorf("%w: the disk is, %d bytes are kept free", ErrFull, g.keep)
	}
	g.spent += size
	return nil
}

// judge opens or shuts the gate.
func (g *gate) judge(stored, size int64) {
	g.look(time.Now())
	was := g.full
	switch {
	case g.hit || g.free >= 0 && g.free-g.spent < g.wanted(g.full == fullDisk):
		g.full = fullDisk
	case stored+size > g.limit, g.full == fullLimit && float64(stored) > limitAgain*float64(g.limit):
		g.full = fullLimit
	default:
		g.full = ""
	}
	if was == g.full {
		return
	}
	if g.full != "" {
		g.log.Warn("spool is full, events are refused", "reason", g.full, "stored", stored, "limit", g.limit, "free", g.free, "keep", g.keep)
	} else {
		g.log.Info("spool takes events again", "stored", stored, "free", g.free)
	}
}

// wanted is the free space that must be there; a shut gate wants a quarter more.
func (g *gate) wanted(shut bool) int64 {
	if shut {
		return g.keep + g.keep/4
	}
	return g.keep
}

// reserveOf is what is kept free of a disk: 2 % of it, at least 256 MiB and at
// most 1 GiB, but never more than an eighth: a small disk is to be used, too.
func reserveOf(total int64) int64 {
	return min(max(minReserve, total/50), maxReserve, total/8)
}

// ballastSize is what can be given up at once when a write meets the full disk:
// 64 MiB, four of Pebble's memtables, or less where the reserve is small.
func (g *gate) ballastSize() int64 { return min(g.keep/4, maxBallast) }

// memtable is the size of Pebble's memtables. A log takes a tenth more from the
// disk as soon as it is begun, up to four wait for their flush, and then there is
// a table for each. On a disk under 512 MiB it is a 64th of the disk, so that a log
// and a table more always fit into what is kept free.
func (g *gate) memtable() uint64 {
	const most, least = 8 << 20, 1 << 20 // most: three of 16 MiB were 48 of the 72 MB that a loaded collector had in use
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total <= 0 {
		return most
	}
	return uint64(min(max(g.total/64, least), most))
}

// look refreshes the free space and puts the ballast back when there is room.
func (g *gate) look(now time.Time) {
	first := g.looked.IsZero()
	if !first && now.Sub(g.looked) < lookEvery {
		return
	}
	g.looked, g.spent = now, 0
	if first {
		_, err := g.fs.Stat(g.fs.PathJoin(g.dir, ballastName))
		g.ballast = err == nil
	}
	defer func() { g.atHit.Store(g.hit) }()
	rested := now.Sub(g.hitAt) > g.holds
	usage, err := g.fs.GetDiskUsage(g.dir)
	if err != nil {
		// Not every file system tells.
		if !errors.Is(err, vfs.ErrUnsupported) && g.free >= 0 {
			g.log.Warn("free space is not known", "error", err.Error())
		}
		g.free, g.hit = -1, g.hit && !rested
		return
	}
	g.free = int64(min(usage.AvailBytes, 1<<62))
	g.total = int64(min(usage.TotalBytes, 1<<62))
	g.keep = g.reserve
	if g.keep <= 0 {
		g.keep = reserveOf(g.total)
	}
	if g.free < g.wanted(true) || g.hit && !rested {
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

// diskFull is called when a write of Pebble finds no space. It is made again
// afterwards, into the room the ballast leaves.
func (g *gate) diskFull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	again := g.hit
	g.hit, g.hitAt, g.full = true, now, fullDisk
	g.atHit.Store(true)
	g.looked = now
	if !g.ballast {
		if !again {
			g.log.Error("disk is full, and there is no ballast to give up")
		}
		return
	}
	g.ballast = false
	if err := g.fs.Remove(g.fs.PathJoin(g.dir, ballastName)); err != nil {
		g.log.Error("disk is full, and the ballast cannot be given up", "error", err.Error())
		return
	}
	g.log.Error("disk is full, the ballast was given up")
}

// hitStill tells, before anything is queued, that not even the log or the tables
// of what was accepted can be written: the committer may be stuck in them.
func (g *gate) hitStill() bool {
	if !g.atHit.Load() {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look(time.Now())
	return g.hit
}

// state tells why the gate is shut. A shut one is judged anew: when nobody tries
// to append, because /readyz says that it is shut, nobody else would open it.
func (g *gate) state(stored int64) (full string, free int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.full != "" {
		g.judge(stored, 0)
	}
	return g.full, g.free
}
