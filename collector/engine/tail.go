package engine

import (
	"regexp"
	"strings"
	"sync"
)

// A tail keeps the last lines of what was written to it, for the log.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailLimit = 4096 // bytes; an error of ClickHouse without its stack has some 300

func newTail() *tail { return &tail{} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if extra := len(t.last) - tailLimit; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(p), nil
}

// A crash report quotes the query, and a query may hold a token or a page.
var quotedQuery = regexp.MustCompile(`(?m)(\(query: |In scope ).*$`)

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(quotedQuery.ReplaceAllString(strings.ToValidUTF8(string(t.last), "?"), "$1…"))
}
