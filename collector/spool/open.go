package spool

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	engineDir   = "events"  // Pebble's directory in Dir
	labelName   = "FORMAT"  // repeats the key format, for a program whose Pebble cannot open the rest
	damagedName = "DAMAGED" // in Pebble's directory: it was found damaged, and why
)

// open takes the lock, sets aside what is damaged, and fills s.
func (s *Spool) open() error {
	dir := s.options.Dir
	if err := s.makeDir(); err != nil {
		return err
	}
	lock, err := pebble.LockDirectory(dir, s.fs)
	if err != nil {
		// Without permission for the file itself the system names its path; a lock that
		// is held comes bare.
		var path *os.PathError
		if errors.As(err, &path) {
			return fmt.Errorf("lock: %w", err)
		}
		return ErrLocked
	}
	s.gate.mu.Lock()
	s.gate.look(time.Now())
	s.gate.mu.Unlock()

	err = s.openLocked()
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	s.lock = lock
	s.guard.stage.Store(running)
	return nil
}

// makeDir also syncs the parents of what it made, so that a power cut does not
// take the directory away with everything in it.
func (s *Spool) makeDir() error {
	var parents []string
	for dir := s.options.Dir; ; dir = s.fs.PathDir(dir) {
		_, err := s.fs.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		parents = append(parents, s.fs.PathDir(dir))
		if dir == s.fs.PathDir(dir) {
			break
		}
	}
	if len(parents) == 0 {
		return nil
	}
	if err := s.fs.MkdirAll(s.options.Dir, 0o700); err != nil {
		return err
	}
	for _, dir := range parents {
		if err := syncDir(s.fs, dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) openLocked() error {
	label, err := s.readLabel()
	if err != nil {
		return err
	}
	if label.number > spoolFormat {
		return label.newer()
	}
	if reason, err := s.noted(); err != nil {
		return err
	} else if reason != "" {
		if err := s.putAside(reason); err != nil {
			return err
		}
	}
	err = s.load(label)
	if isDamage(err) {
		if err := s.putAside(err.Error()); err != nil {
			return err
		}
		err = s.load(label)
	}
	if err != nil {
		return err
	}
	return s.listAside()
}

// load opens Pebble and reads where the spool stands.
func (s *Spool) load(label format) error {
	path := s.fs.PathJoin(s.options.Dir, engineDir)
	if err := checkLogs(s.fs, path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.tidy(path, label != format{}); err != nil {
		return err
	}
	// In a goroutine of its own, because Pebble reports a failure from the background
	// and then waits for ever.
	s.guard = &guard{FS: s.options.FS, s: s}
	loaded := make(chan error, 1)
	go func() { loaded <- s.loadEngine(path, label) }()
	select {
	case err := <-loaded:
		return err
	case <-s.failed:
		return s.Err()
	}
}

func (s *Spool) loadEngine(path string, label format) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damagef("engine: %v", r) // bytes that make Pebble panic are damage
		}
	}()
	db, err := openEngine(s.guard, path, s.gate.memtable(), &engineLog{log: s.log, fail: s.fail}, s.corrupt)
	if err != nil {
		if strings.Contains(err.Error(), "unknown format major version") {
			return label.newer() // Pebble has no error value for it
		}
		return err
	}
	s.guard.stage.Store(loading)
	if err := s.loadKeys(db); err != nil {
		s.guard.stage.Store(closing)
		return errors.Join(err, db.Close())
	}
	s.db = db
	return nil
}

// tidy takes away what would keep Pebble from opening and holds nothing.
// made: the spool was in use once.
func (s *Spool) tidy(path string, made bool) error {
	names, err := s.fs.List(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var drop, markers []string
	held := made
	for _, name := range names {
		switch {
		// Pebble only compares its last options with today's, which are pinned here and
		// by spoolFormat, and writes them anew: a bit turned in them must not cost more.
		case strings.HasPrefix(name, "OPTIONS-"):
			drop = append(drop, name)
		// A marker, marker.manifest.ITERATION.NAME, is made before the directory is synced
		// that holds the manifest it names. Where entries of a directory may reach the
		// disk in any order, a power cut leaves the marker alone; the one before it is
		// there still, and holds.
		case strings.HasPrefix(name, "marker.manifest."):
			markers = append(markers, name)
		case strings.HasSuffix(name, ".log"), strings.HasSuffix(name, ".sst"):
			held = true
		}
	}
	slices.Sort(markers) // the iteration has leading zeros
	for n := len(markers) - 1; n >= 0; n-- {
		if n == 0 && held {
			break // a manifest that is missing is damage, except in a first start that was cut short
		}
		parts := strings.SplitN(markers[n], ".", 4)
		if len(parts) == 4 && slices.Contains(names, parts[3]) {
			break
		}
		drop = append(drop, markers[n])
	}
	for _, name := range drop {
		if err := s.fs.Remove(s.fs.PathJoin(path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) loadKeys(db *pebble.DB) error {
	stored, err := get(db, keyFormat)
	if err != nil {
		return err
	}
	if stored == nil {
		return s.create(db)
	}
	f, err := decodeFormat(stored)
	if err != nil {
		return err
	}
	if f.number > spoolFormat {
		return f.newer()
	}
	id, err := get(db, keyID)
	if err != nil {
		return err
	}
	if s.id, err = decodeID(id); err != nil {
		return err
	}
	if err := s.loadLedger(db); err != nil {
		return err
	}
	if f == s.format() {
		return s.writeLabel() // a crash may have come between the two
	}
	if err := s.writeLabel(); err != nil {
		return err
	}
	return set(db, keyFormat, s.format().encode())
}

// create writes the first keys of a new spool. One without the key format has
// none at all: the keys are written together.
func (s *Spool) create(db *pebble.DB) error {
	if err := s.empty(db); err != nil {
		return err
	}
	if err := s.writeLabel(); err != nil {
		return err
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	b := db.NewBatch()
	err := errors.Join(
		b.Set(keyID, id, nil),
		b.Set(keyFormat, s.format().encode(), nil),
		b.Set(keyMark, encodeNumbers(keyMark, 0), nil),
		b.Set(keyNext, encodeNumbers(keyNext, 0, 0), nil),
		db.Apply(b, pebble.Sync), b.Close())
	if err == nil {
		// Pebble begins its first log before it raises the format, so without sync
		// offsets; the flush begins another, in which damage can be told from a torn end.
		err = db.Flush()
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	s.ledger, s.cuts, s.oldest = ledger{}, nil, 0
	s.id, err = decodeID(id)
	return err
}

func (s *Spool) empty(db *pebble.DB) (err error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if it.First() {
		return damagef("key format is missing, and %q is there", it.Key()[:1])
	}
	return it.Error()
}

// readFile returns "" when there is no such file.
func readFile(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	const most = 4096
	b, err := io.ReadAll(io.LimitReader(f, most))
	return string(b), errors.Join(err, f.Close())
}

// writeFile replaces a file in one step that lasts.
func writeFile(fs vfs.FS, path, text string) error {
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(path))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
