package loader

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second // a server that is back is noticed within this
)

// A retrier repeats a step until it works or the loader stops. Whoever waits
// stops with `wait`, so that an end is not held up by a server that is away;
// a statement under way stops with `work`, a little later.
type retrier struct {
	wait, work context.Context
	trouble    *trouble
	figures    *figures
}

// do runs step until it returns nil. It returns errStopping or nil.
func (r retrier) do(what string, step func(ctx context.Context) error) error {
	backoff := firstBackoff
	for {
		err := step(r.work)
		if err == nil {
			r.trouble.over()
			return nil
		}
		if r.work.Err() != nil || r.wait.Err() != nil {
			return errStopping
		}
		r.figures.retries.Add(1)
		r.trouble.met(what, err)
		// Half of it is by chance, so that collectors that lost one server do
		// not come back in step.
		pause := time.NewTimer(backoff/2 + rand.N(backoff/2))
		select {
		case <-pause.C:
		case <-r.wait.Done():
			pause.Stop()
			return errStopping
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// trouble tells the operator once that loading waits, and once that it is over.
type trouble struct {
	log   *slog.Logger
	mu    sync.Mutex
	class Class // of what is the matter now, or ClassNone
	since time.Time
	last  Class
	at    time.Time
}

func (t *trouble) met(what string, err error) {
	class, code := classify(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.at = class, time.Now()
	if t.class == class {
		return
	}
	if t.class == ClassNone {
		t.since = t.at
	}
	t.class = class
	// Not the server's text: it may quote values of the rows.
	t.log.Warn("loading waits", "step", what, "reason", string(class), "code", code)
}

func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.class == ClassNone {
		return
	}
	t.log.Info("loading goes on", "reason", string(t.class), "took", time.Since(t.since).Round(time.Millisecond))
	t.class = ClassNone
}

func (t *trouble) look() (now, last Class, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.class, t.last, t.at
}
