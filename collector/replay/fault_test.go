package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/spool"
)

func TestFullSpoolWaitsAndGoesOn(t *testing.T) {
	full := 3
	m := &memory{before: func([]spool.Line) error {
		if full--; full >= 0 {
			return fmt.Errorf("append lines: %w", spool.ErrFull)
		}
		return nil
	}}
	o := options(t, m)
	o.Retry = time.Nanosecond
	waits := 0
	o.Progress = func(p Progress) {
		if p.Full {
			waits++
		}
	}
	if got := counts(mustRun(t, o, file(0, 10))); got != "10(0)/0/0 of 10" || waits != 3 {
		t.Errorf("%s, waited %d times, want 3", got, waits)
	}
}

func TestEndOfTheContext(t *testing.T) {
	t.Run("while the spool is full", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := options(t, &memory{before: func([]spool.Line) error { return spool.ErrFull }})
		o.Retry = time.Hour
		o.Progress = func(p Progress) {
			if p.Full {
				cancel()
			}
		}
		if _, err := Run(ctx, strings.NewReader(file(0, 10)), o); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("between two chunks", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &memory{before: func([]spool.Line) error { cancel(); return nil }}
		o := options(t, m)
		o.ChunkLines = 10
		sum, err := Run(ctx, strings.NewReader(file(0, 1000)), o)
		if !errors.Is(err, context.Canceled) || sum.Taken == 0 || sum.Taken == 1000 || int(sum.Taken) != len(m.lines) {
			t.Errorf("error %v after %s, %d appended", err, counts(sum), len(m.lines))
		}
	})
}

func TestFaults(t *testing.T) {
	gone := errors.New("disk is gone")
	t.Run("the file cannot be read to its end", func(t *testing.T) {
		m := &memory{}
		sum, err := Run(t.Context(), io.MultiReader(strings.NewReader(file(0, 5)), iotest.ErrReader(gone)), options(t, m))
		if !errors.Is(err, gone) || err.Error() != "read: disk is gone" || sum.Taken != 5 || len(m.lines) != 5 {
			t.Errorf("error %v after %s", err, counts(sum))
		}
	})
	t.Run("the spool cannot store", func(t *testing.T) {
		flushed := false
		o := options(t, &memory{before: func([]spool.Line) error { return gone }})
		o.Flush = func(context.Context) error { flushed = true; return nil }
		sum, err := Run(t.Context(), strings.NewReader(file(0, 5000)), o)
		if !errors.Is(err, gone) || sum.Taken != 0 || flushed {
			t.Errorf("error %v after %s, flushed %v", err, counts(sum), flushed)
		}
	})
	t.Run("no salt is a fault and no rejection", func(t *testing.T) {
		o := options(t, &memory{})
		e, err := enrich.New(enrich.Options{Salts: oneSalt{gone}})
		if err != nil {
			t.Fatal(err)
		}
		news, err := site.New("news.example")
		if err != nil {
			t.Fatal(err)
		}
		o.Import = intake.New(intake.Options{Sites: site.Set{news.ID: news}, Enricher: e}).Import()
		sum, err := Run(t.Context(), strings.NewReader("{}\n"+file(0, 5)), o)
		if !errors.Is(err, gone) || !strings.HasPrefix(err.Error(), "line 2: ") || sum.Rejected != 1 {
			t.Errorf("error %v after %s", err, counts(sum))
		}
	})
}

func TestFlushComesLast(t *testing.T) {
	m := &memory{}
	o := options(t, m)
	var order []string
	m.before = func([]spool.Line) error { order = append(order, "append"); return nil }
	o.Flush = func(context.Context) error { order = append(order, "flush"); return errors.New("engine is away") }
	_, err := Run(t.Context(), strings.NewReader(file(0, 5)), o)
	if !slices.Equal(order, []string{"append", "flush"}) || err == nil || err.Error() != "flush: engine is away" {
		t.Errorf("order %q, error %v", order, err)
	}
}

func TestProgressGrowsToTheEnd(t *testing.T) {
	o := options(t, &memory{})
	o.ChunkLines = 10
	var all []Progress
	o.Progress = func(p Progress) { all = append(all, p) }
	text := file(0, 95)
	mustRun(t, o, text)
	if len(all) != 11 || all[10] != (Progress{Bytes: int64(len(text)), Lines: 95}) {
		t.Errorf("progress %v", all)
	}
	if !slices.IsSortedFunc(all, func(a, b Progress) int { return int(a.Lines - b.Lines) }) {
		t.Errorf("progress goes back: %v", all)
	}
}
