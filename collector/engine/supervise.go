package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// After a crash of the collector its engine needs up to 1.4 s to go
	// (measured), orphanLimit at the worst, and locks the data meanwhile.
	lockedLimit = orphanLimit + 5*time.Second

	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 15 * time.Second
	// A child that lived this long was well; its end is not one more of a row.
	steady = time.Minute
)

// firstStart starts the engine for Start. A few failures are worth waiting for:
// the data still locked, a full disk, a kill. Any other is the operator's to see at once.
func (e *Engine) firstStart(ctx context.Context) (*process, error) {
	deadline := time.Now().Add(lockedLimit)
	for try := 0; ; try++ {
		p, err := e.launch(ctx)
		pause := 300 * time.Millisecond
		switch {
		case errors.Is(err, errFull), errors.Is(err, errKilled):
			// The collector takes beacons meanwhile, and would not if this ended it.
			pause = min(time.Second<<min(try, 10), lastBackoff)
			e.o.Logger.Warn("engine does not start", "error", err, "again", pause)
		case err == nil || !errors.Is(err, errLocked) || time.Now().After(deadline):
			return p, err
		case try == 0:
			e.o.Logger.Info("engine of an earlier start still has the data, waiting")
		}
		if !sleep(ctx, pause) {
			return nil, context.Cause(ctx)
		}
	}
}

// supervise owns the child from the first start to the end of ctx.
func (e *Engine) supervise(ctx context.Context, p *process) {
	defer close(e.done)
	defer e.release()
	backoff := firstBackoff
	for {
		select {
		case <-ctx.Done():
			e.err = p.stop(e.o.StopLimit)
			e.down()
			return
		case <-p.gone:
		}
		e.down()
		e.o.Logger.Warn("engine died", "error", p.err, "stderr", p.said.String())
		if time.Since(p.began) > steady {
			backoff = firstBackoff
		}
		for {
			// Full jitter would start two engines of one machine apart; half of
			// it is enough and keeps a lower bound.
			if !sleep(ctx, backoff/2+rand.N(backoff/2)) {
				return
			}
			backoff = min(2*backoff, lastBackoff)
			next, err := e.launch(ctx)
			if err == nil {
				p = next
				break
			}
			if ctx.Err() != nil {
				return
			}
			e.o.Logger.Warn("engine did not start, trying again", "error", err, "wait", backoff)
		}
		e.o.Logger.Info("engine is back", "generation", e.Generation(), "took", p.took)
	}
}

// answers notes that a child is ready.
func (e *Engine) answers(p *process, version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.generation++
	e.version, e.pid = version, p.cmd.Process.Pid
	close(e.up)
}

// down notes that there is none.
func (e *Engine) down() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = 0
	e.up = make(chan struct{})
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
