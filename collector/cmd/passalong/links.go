package main

import (
	"context"
	"sync"
	"time"
)

// links finds the short links that were born in an earlier import. It asks the
// view nodes and remembers what it found; the links of the import under way are
// intake's to know.
type links struct {
	stack *stack

	mu    sync.Mutex
	found map[string]link
}

type link struct{ site, page string }

// maxLinks bounds what is remembered, some 20 MB.
const maxLinks = 100_000

// Find gives the site and page of a link; not ok also when ClickHouse is away.
func (l *links) Find(token string) (site, page string, ok bool) {
	l.mu.Lock()
	at, ok := l.found[token]
	l.mu.Unlock()
	if ok {
		return at.site, at.page, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if l.stack.wait(ctx) != nil {
		return "", "", false
	}
	ids := make([]string, 0, len(l.stack.sites))
	for id := range l.stack.sites {
		ids = append(ids, id)
	}
	if err := l.stack.out.db.Conn().QueryRow(ctx,
		"/* passalong: links */ SELECT site, page FROM passalong.nodes WHERE site IN $1 AND token = $2 AND kind = 'link' LIMIT 1",
		ids, token).Scan(&at.site, &at.page); err != nil {
		return "", "", false // no such link, or nobody to ask
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil || len(l.found) >= maxLinks {
		l.found = map[string]link{}
	}
	l.found[token] = at
	return at.site, at.page, true
}
