package torture

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// A ledger holds what was sent and what was answered: all that the outside
// world knows. Any goroutine may write.
type ledger struct {
	mu      sync.Mutex
	entries []entry
}

type entry struct {
	*beacon
	answer
}

func newLedger() *ledger { return &ledger{} }

func (l *ledger) add(b *beacon, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry{b, a})
}

// count is how many beacons had this answer.
func (l *ledger) count(status int) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.status == status && e.sent {
			n++
		}
	}
	return n
}

// A verdict is what must be found of a beacon.
type verdict int

const (
	nowhere verdict = iota // not one row
	once                   // each of its events, once
	maybe                  // the one or the other: its sender cannot know
)

func (v verdict) String() string { return [...]string{"never", "once", "once or never"}[v] }

// verdict also says what is wrong with the answer itself.
func (e *entry) verdict() (v verdict, wrong string) {
	good := e.refuse == 0 && e.signal == ""
	switch {
	case !e.sent:
		return nowhere, ""
	case e.status == http.StatusNoContent && e.refuse != 0:
		return nowhere, fmt.Sprintf("was taken and had to be refused with %d", e.refuse)
	case e.status == http.StatusNoContent && good:
		return once, ""
	case e.status == http.StatusNoContent, e.status == 0 && !good, e.status == e.refuse && e.refuse != 0:
		return nowhere, ""
	case e.status == 0:
		return maybe, ""
	case e.status == http.StatusServiceUnavailable:
		if e.retry == "" {
			wrong = "503 without Retry-After"
		}
		if !good || strings.Contains(e.said, "the spool is full") {
			return nowhere, wrong
		}
		return maybe, wrong // the time for it was up, or the disk failed
	}
	return nowhere, fmt.Sprintf("answered %d %s", e.status, strings.TrimSpace(e.said))
}
