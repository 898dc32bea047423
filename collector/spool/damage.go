package spool

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// isDamage tells bytes that are not what was written from a disk that does not
// answer: only the first is set aside. A file that Pebble's manifest names and
// that is gone is damage as well.
func isDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist) ||
		err != nil && strings.Contains(err.Error(), "object size mismatch") // a table cut short: Pebble 2.1 has no error value for it
}

// damage looks at an error of reading. Damage is noted in the directory, so that
// the next Open sets it aside, and ends this spool: what is behind the damage
// cannot be told from here.
func (s *Spool) damage(err error) error {
	if !isDamage(err) {
		return err
	}
	if !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	path := s.fs.PathJoin(s.options.Dir, engineDir, damagedName)
	if noted := writeFile(s.fs, path, err.Error()+"\n"); noted != nil {
		s.log.Error("damage could not be noted", "error", noted.Error())
	}
	return s.fail(err)
}

// corrupt is called by Pebble when a checksum does not match, from wherever it
// reads. Who reads for us gets the error too and ends the spool; in the
// background nobody does, so it is said here.
func (s *Spool) corrupt(err error) {
	s.log.Error("spool is damaged", "error", err.Error())
}

// noted is why the directory was found damaged by an earlier process, or empty.
func (s *Spool) noted() (string, error) {
	return readFile(s.fs, s.fs.PathJoin(s.options.Dir, engineDir, damagedName))
}

// putAside renames Pebble's directory to a name beside Dir and says so. Nothing
// is deleted, and the rename is the only step, so that a crash leaves either the
// old state or the new one.
func (s *Spool) putAside(reason string) error {
	dir := s.options.Dir
	from := s.fs.PathJoin(dir, engineDir)
	base := dir + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	to := base
	for n := 2; ; n++ {
		if _, err := s.fs.Stat(to); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("set damaged spool aside: %w", err)
		}
		to = fmt.Sprintf("%s-%d", base, n)
	}
	note := s.fs.PathJoin(from, damagedName)
	if err := writeFile(s.fs, note, strings.TrimSpace(reason)+"\n"); err != nil {
		return fmt.Errorf("set damaged spool aside: %w", err)
	}
	if err := s.fs.Rename(from, to); err != nil {
		return fmt.Errorf("set damaged spool aside: %w", err)
	}
	// The new name first: where the file system does not rename in one step, a power
	// cut in between leaves both names rather than none.
	if err := errors.Join(syncDir(s.fs, s.fs.PathDir(dir)), syncDir(s.fs, dir)); err != nil {
		return fmt.Errorf("set damaged spool aside: %w", err)
	}
	s.log.Error("spool was damaged and is set aside; events in it that were not loaded are in no table; keep the directory",
		"directory", s.fs.PathBase(to), "reason", strings.TrimSpace(reason))
	return nil
}

// listAside fills Stats.SetAside.
func (s *Spool) listAside() error {
	dir := s.options.Dir
	names, err := s.fs.List(s.fs.PathDir(dir))
	if err != nil {
		return err
	}
	prefix := s.fs.PathBase(dir) + ".damaged-"
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			s.setAside = append(s.setAside, name)
		}
	}
	sort.Strings(s.setAside)
	return nil
}

// over is why nothing can be read any more.
func (s *Spool) over() error {
	if err := s.Err(); err != nil {
		return err
	}
	return ErrClosed
}
