package salt

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"
)

// A Remote is where several collectors agree on their salts: rows of ClickHouse,
// which has no unique keys. So there can be several salts of one site and day,
// and everybody takes the one with the smallest secret.
type Remote interface {
	// List gives all salts there are.
	List(ctx context.Context) ([]Salt, error)
	// Put adds a salt; a List that begins when Put has returned gives it.
	Put(ctx context.Context, s Salt) error
	// Delete removes these salts. That some are gone already is no error.
	Delete(ctx context.Context, due []Salt) error
}

// share gives a new salt to the Remote and takes the one that holds there. When
// the Remote is away the new one is used: beacons do not wait for ClickHouse.
// The caller holds mu.
func (b *Book) share(k kept) kept {
	now := b.now()
	if now.UnixMilli() < b.away.Load() {
		return k // Sweep gives it to the Remote later
	}
	ctx, cancel := ask(patience)
	defer cancel()
	there, err := b.remote.List(ctx)
	if err != nil {
		b.silent(ctx, now)
		return k
	}
	if won, ok := b.smallest(there)[k.Day][k.Site]; ok {
		return won // somebody was faster: the folder was behind
	}
	if b.remote.Put(ctx, k.Salt) != nil {
		b.silent(ctx, now)
		return k
	}
	k.shared = true
	// Somebody may have put another between our List and Put.
	if there, err = b.remote.List(ctx); err == nil {
		if won, ok := b.smallest(there)[k.Day][k.Site]; ok {
			return won
		}
	}
	return k
}

// silent notes that the Remote did not answer in time. One that refuses at once
// costs no beacon anything, and is asked again.
func (b *Book) silent(ctx context.Context, now time.Time) {
	if ctx.Err() != nil {
		b.away.Store(now.Add(pause).UnixMilli())
	}
}

// smallest is the salt that holds of each site and day, of those not due.
func (b *Book) smallest(all []Salt) days {
	now := b.now().Unix()
	held := days{}
	for _, s := range all {
		k := keep(s, true)
		if now >= k.due || len(s.Site) > maxSite {
			continue
		}
		if held[s.Day] == nil {
			held[s.Day] = map[string]kept{}
		}
		if other, ok := held[s.Day][s.Site]; !ok || bytes.Compare(s.Secret[:], other.Secret[:]) < 0 {
			held[s.Day][s.Site] = k
		}
	}
	return held
}

// exchange deletes what is due at the Remote, gives it what it does not have,
// and takes over what holds there.
func (b *Book) exchange() error {
	if b.remote == nil {
		return nil
	}
	ctx, cancel := ask(5 * time.Second)
	defer cancel()
	there, err := b.remote.List(ctx) // before the lock, so that no beacon waits for one that is away
	now := b.now()
	if err != nil {
		b.silent(ctx, now)
		return fmt.Errorf("list salts: %w", err)
	}
	b.away.Store(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	var due, live []Salt
	for _, s := range there {
		if now.Before(s.Due()) {
			live = append(live, s)
		} else {
			due = append(due, s)
		}
	}
	if len(due) > 0 {
		if err := b.remote.Delete(ctx, due); err != nil {
			return fmt.Errorf("delete salts: %w", err)
		}
	}
	for _, sites := range *b.days.Load() {
		for _, k := range sites {
			if k.shared || now.Unix() >= k.due {
				continue
			}
			if err := b.remote.Put(ctx, k.Salt); err != nil {
				return fmt.Errorf("put salt of %s: %w", date(k.Day), err)
			}
			live = append(live, k.Salt)
		}
	}
	for day, sites := range b.smallest(live) {
		have := (*b.days.Load())[day]
		next := maps.Clone(have)
		if next == nil {
			next = map[string]kept{}
		}
		changed := false
		for site, k := range sites {
			had := have[site]
			changed = changed || had.Secret != k.Secret || had.due != k.due || !had.shared
			next[site] = k
		}
		if !changed {
			continue
		}
		if err := b.put(day, next); err != nil {
			return fmt.Errorf("keep salts of %s: %w", date(day), err)
		}
	}
	return nil
}
