package loader

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Pauses double from 100 ms to 10 s, and half of each is by chance: collectors
// that lost one server do not come back in step.
func TestPausesDoubleAndAreHalfByChance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pauses := func() (all []time.Duration) {
			r := retrier{wait: t.Context(), work: t.Context(), trouble: &trouble{log: slog.New(slog.DiscardHandler)}, figures: &figures{}}
			last := time.Now()
			err := r.do("step", func(context.Context) error {
				all = append(all, time.Since(last))
				last = time.Now()
				if len(all) < 12 {
					return errors.New("away")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return all[1:]
		}
		one, other := pauses(), pauses()
		longest := firstBackoff
		for i, pause := range one {
			if pause < longest/2 || pause >= longest {
				t.Errorf("pause %d is %v, want between %v and %v", i, pause, longest/2, longest)
			}
			longest = min(2*longest, lastBackoff)
		}
		if longest != lastBackoff {
			t.Errorf("the last pauses are up to %v, want %v", longest, lastBackoff)
		}
		if slices.Equal(one, other) {
			t.Errorf("two loaders wait in step: %v", one)
		}
	})
}

// Who is told to end does not wait for the pause to be over.
func TestAPauseEndsWithTheLoader(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := retrier{wait: ctx, work: ctx, trouble: &trouble{log: slog.New(slog.DiscardHandler)}, figures: &figures{}}
	err := r.do("step", func(context.Context) error {
		cancel()
		return errors.New("away")
	})
	if !errors.Is(err, errStopping) {
		t.Errorf("got %v, want %v", err, errStopping)
	}
}
