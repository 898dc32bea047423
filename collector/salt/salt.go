// Package salt keeps the secrets under which visitors are hashed: 32 random
// bytes for each site and UTC day, and deletes them in time.
//
// A caller can rely on For giving the same secret for a site and day until it is
// deleted, over restarts and crashes: it is on disk before it is used. The
// secret of day D is deleted at the end of D+1, as the contract says of two
// days. One that is made after its day was over (an import of old lines) is
// deleted 48 hours after it was made, so that an interrupted or second import
// meets the same. Deleted means: gone from memory, from the folder and from the
// Remote; For never gives a secret that is due, even when Sweep is late.
//
// Not promised: that deleted bytes cannot be recovered from a disk. Overwriting
// a file before removing it does nothing on journaling and copy-on-write file
// systems and on flash memory, so it is not tried; where that matters, the data
// directory belongs on an encrypted disk, and backups leave the folder out.
//
// What surprises: a damaged file is not replaced. Open fails and says what to
// do, because new secrets would count every reader of the day twice.
package salt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	daySeconds = 86400

	// life is how long a secret lives that was made after its day.
	life = 48 * time.Hour

	// maxSite is the longest site id (package site).
	maxSite = 64
)

// A Salt is one secret. Day counts from 1970-01-01 UTC.
type Salt struct {
	Site   string
	Day    int32
	Made   time.Time
	Secret [32]byte
}

// Due is when the salt must be gone.
func (s Salt) Due() time.Time {
	if over := time.Unix((int64(s.Day)+1)*daySeconds, 0); !s.Made.Before(over) {
		return s.Made.Add(life)
	}
	return time.Unix((int64(s.Day)+2)*daySeconds, 0)
}

// A kept salt is what For needs of one.
type kept struct {
	Salt
	due    int64 // Unix seconds
	shared bool  // the Remote has it
}

func keep(s Salt, shared bool) kept { return kept{Salt: s, due: s.Due().Unix(), shared: shared} }

// days is all salts: by day, then by site. Neither map is ever changed; a
// change puts copies in their place, so that For takes no lock.
type days map[int32]map[string]kept

// A Book is the salts of one collector. One Book owns its folder.
type Book struct {
	dir    string
	now    func() time.Time
	remote Remote // nil: files only

	days atomic.Pointer[days]
	mu   sync.Mutex // held by whoever changes days or files

	away atomic.Int64 // Unix milliseconds until which For does not ask the Remote: it did not answer
}

// Open reads the salts in dir, which is made when it is missing, and deletes
// those that are due. With a remote, the salts of all collectors are there and
// the folder is a copy. A remote that cannot be reached is no reason to fail.
func Open(dir string, now func() time.Time, remote Remote) (*Book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open salts: %w", err)
	}
	b := &Book{dir: dir, now: now, remote: remote}
	all, err := readDir(dir, remote != nil)
	if err != nil {
		return nil, fmt.Errorf("open salts: %w", err)
	}
	b.days.Store(&all)
	if err := b.expire(); err != nil {
		return nil, fmt.Errorf("open salts: %w", err)
	}
	_ = b.exchange() // Sweep tries again and says so
	return b, nil
}

// For is the secret of a site and day. It is made, and on disk, on first use.
func (b *Book) For(site string, day int32) ([32]byte, error) {
	now := b.now()
	if k, ok := (*b.days.Load())[day][site]; ok && now.Unix() < k.due {
		return k.Secret, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k, err := b.make(site, day, now)
	if err != nil {
		return [32]byte{}, fmt.Errorf("make salt of %s: %w", date(day), err)
	}
	return k.Secret, nil
}

// make gives a day's salt of a site, a new one when there is none. The caller
// holds mu.
func (b *Book) make(site string, day int32, now time.Time) (kept, error) {
	if site == "" || len(site) > maxSite || strings.ContainsAny(site, "\n\r\x00") {
		return kept{}, errors.New("a site id has 1 to 64 characters")
	}
	if k, ok := (*b.days.Load())[day][site]; ok && now.Unix() < k.due {
		return k, nil // somebody was faster
	}
	// Whole seconds, as in the file: a restart must not change when it is due.
	s := Salt{Site: strings.Clone(site), Day: day, Made: now.Truncate(time.Second)}
	rand.Read(s.Secret[:]) // never fails: crypto/rand ends the process first
	k := keep(s, false)
	if b.remote != nil {
		k = b.share(k)
	}
	sites := maps.Clone((*b.days.Load())[day])
	if sites == nil {
		sites = map[string]kept{}
	}
	sites[k.Site] = k
	if err := b.put(day, sites); err != nil {
		return kept{}, err
	}
	return k, nil
}

// put makes sites the salts of a day: first on disk, then for For. The caller
// holds mu.
func (b *Book) put(day int32, sites map[string]kept) error {
	next := maps.Clone(*b.days.Load())
	if len(sites) == 0 {
		if err := remove(b.dir, day); err != nil {
			return err // the next Sweep tries again; For does not use what is due
		}
		delete(next, day)
		b.days.Store(&next)
		return nil
	}
	if err := write(b.dir, day, sites); err != nil {
		return err
	}
	next[day] = sites
	b.days.Store(&next)
	return nil
}

// Sweep deletes what is due, makes tomorrow's salts for the sites that have one
// today, and exchanges salts with the Remote. It is called some times a day, and
// best every few minutes. Its error says which of these could not be done; the
// rest was.
func (b *Book) Sweep() error {
	errs := []error{b.expire(), b.ahead(), b.exchange()}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep salts: %w", err)
	}
	return nil
}

// expire deletes what is due.
func (b *Book) expire() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now().Unix()
	var errs []error
	for day, sites := range *b.days.Load() {
		left := maps.Clone(sites)
		maps.DeleteFunc(left, func(_ string, k kept) bool { return now >= k.due })
		if len(left) == len(sites) {
			continue
		}
		if err := b.put(day, left); err != nil {
			errs = append(errs, fmt.Errorf("delete salts of %s: %w", date(day), err))
		}
	}
	return errors.Join(errs...)
}

// ahead makes tomorrow's salts, so that several collectors have agreed on them
// before the day begins.
func (b *Book) ahead() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	today := dayOf(now)
	var errs []error
	for site := range (*b.days.Load())[today] {
		if _, err := b.make(site, today+1, now); err != nil {
			errs = append(errs, fmt.Errorf("make salt of %s: %w", date(today+1), err))
		}
	}
	return errors.Join(errs...)
}

// Unshared is how many salts the Remote does not have yet: other collectors
// count the same readers under other names meanwhile. 0 without a Remote.
func (b *Book) Unshared() int {
	if b.remote == nil {
		return 0
	}
	n := 0
	for _, sites := range *b.days.Load() {
		for _, k := range sites {
			if !k.shared {
				n++
			}
		}
	}
	return n
}

func dayOf(t time.Time) int32 {
	s := t.Unix()
	day := s / daySeconds
	if s%daySeconds < 0 {
		day--
	}
	return int32(day)
}

func date(day int32) string {
	return time.Unix(int64(day)*daySeconds, 0).UTC().Format(time.DateOnly)
}

// What For waits for the Remote, once for a site and day, because a beacon waits
// with it; and for how long it does not ask one that did not answer. Both are
// guesses. Sweep may take its time.
const (
	patience = 500 * time.Millisecond
	pause    = 30 * time.Second
)

func ask(limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), limit)
}
