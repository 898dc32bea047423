// Package replay is an import: lines in, in the order of the file, and a count
// of what became of each.
//
// Run reads any number of lines in constant memory. A line that is bad is
// counted and told with its number, and stops nothing; an error of Run means
// that the file could not be read, or that we could not store. What was
// appended before an error stays, and the same file again adds only the rest:
// the identity of a line is kept in the same commit as its events.
//
// Not promised: that a line counted as taken can be seen before Flush returned.
//
// What surprises: a line of which nothing is kept, such as one with a privacy
// signal, has no identity either, since that would be something kept; it counts
// as taken each time. And a line's end is LF or CRLF: the CR belongs to the end,
// so that a file is the same file after a detour through Windows.
package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/spool"
)

// A Spool stores lines with their identities, as spool.Spool does.
type Spool interface {
	AppendLines(ctx context.Context, lines []spool.Line) (duplicate []bool, err error)
}

// Options of Run. Import and Spool are required.
type Options struct {
	Import *intake.Import
	Spool  Spool
	Now    func() time.Time // nil: time.Now

	// Progress is called after each chunk and at the end, from one goroutine.
	Progress func(Progress)

	// Flush returns when every view shows what was appended; nil: not asked.
	Flush func(ctx context.Context) error

	// ChunkLines are parsed together and stored in one commit. 0: 2000, enough
	// for the commit's fsync not to be noticed (some 5 ms against 50 of work).
	ChunkLines int

	// Retry is how long to wait before a full spool is tried again. 0: 1 s.
	Retry time.Duration
}

// Progress is how far an import has come.
type Progress struct {
	Bytes int64 // read, line ends included
	Lines int64 // settled, blank ones included
	Full  bool  // waiting for a full spool
}

// A Rejection is a line that was not taken.
type Rejection struct {
	Line int64 // counted from 1, blank lines included
	Err  *hit.Error
}

func (r Rejection) String() string { return fmt.Sprintf("line %d: %v", r.Line, r.Err) }

// A Reason is why lines were rejected, and how many.
type Reason struct {
	Field   string // "events[].what": an event's place does not count
	Problem string
	Lines   int64
}

// commitEvents is how many events one commit holds at least before the next is
// begun: a group of the spool.
const commitEvents = 4096

// MaxRejections is how many rejected lines a Summary names.
const MaxRejections = 20

// A Summary says what became of the lines. Taken, Rejected and Duplicate add
// up to the lines that are not blank.
type Summary struct {
	Lines     int64 // all, blank ones included
	Bytes     int64
	Taken     int64
	Skipped   int64 // of the taken: nothing of them is kept
	Duplicate int64
	Rejected  int64
	Events    int64 // appended

	Rejections []Rejection // the first MaxRejections
	Reasons    []Reason    // of all rejected lines, the most frequent first
}

// Run imports what r holds. The Summary counts what was done also when there is
// an error.
func Run(ctx context.Context, r io.Reader, o Options) (Summary, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	o.ChunkLines = cmp.Or(o.ChunkLines, 2000)
	o.Retry = cmp.Or(o.Retry, time.Second)

	run := &run{Options: o, reasons: map[Reason]int64{}}
	err := run.all(ctx, r)
	run.sum.Reasons = run.reasonsInOrder()
	o.Progress(Progress{Bytes: run.sum.Bytes, Lines: run.sum.Lines})
	if err == nil && o.Flush != nil {
		if err = o.Flush(ctx); err != nil {
			err = fmt.Errorf("flush: %w", err)
		}
	}
	return run.sum, err
}

type run struct {
	Options
	sum     Summary
	reasons map[Reason]int64 // keyed without Lines
}

// all is the pipe: read a chunk, parse it with two workers, settle and append
// it in order. While one chunk is appended the next is read and parsed.
func (r *run) all(ctx context.Context, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	parsed := make(chan *chunk, 1)
	var readErr error
	done := make(chan struct{})
	go func() { // ends with the file, an error of it, or ctx
		defer close(done)
		defer close(parsed)
		readErr = r.read(ctx, in, parsed)
	}()
	var err error
	for c := range parsed {
		if err = r.store(ctx, c); err != nil {
			break
		}
	}
	cancel()
	<-done
	if err == nil {
		err = readErr
	}
	return err
}

// store settles a chunk line by line and appends it, in one commit unless its
// events are many.
func (r *run) store(ctx context.Context, c *chunk) error {
	var batch []spool.Line
	events := 0
	for i := range c.lines {
		l := &c.lines[i]
		r.sum.Lines++
		r.sum.Bytes += l.bytes
		if l.blank {
			continue
		}
		rows, err := []*event.Event(nil), l.err
		if err == nil {
			rows, err = r.Import.Settle(l.parsed)
		}
		if err != nil {
			e, ok := errors.AsType[*hit.Error](err)
			if !ok {
				return fmt.Errorf("line %d: %w", r.sum.Lines, err)
			}
			r.reject(r.sum.Lines, e)
			continue
		}
		if len(rows) == 0 {
			r.sum.Taken++
			r.sum.Skipped++
			continue
		}
		day := int32(rows[0].Received / (24 * time.Hour).Milliseconds())
		batch = append(batch, spool.Line{Identity: l.identity, Day: day, Events: rows})
		if events += len(rows); events >= commitEvents {
			if err := r.append(ctx, batch); err != nil {
				return err
			}
			batch, events = nil, 0
		}
	}
	if err := r.append(ctx, batch); err != nil {
		return err
	}
	r.Progress(Progress{Bytes: r.sum.Bytes, Lines: r.sum.Lines})
	return nil
}

// append stores lines and counts what became of them. It waits while the spool
// is full: what an import brings is still there when the loader has made room.
func (r *run) append(ctx context.Context, batch []spool.Line) error {
	if len(batch) == 0 {
		return nil
	}
	duplicate, err := r.Spool.AppendLines(ctx, batch)
	for errors.Is(err, spool.ErrFull) {
		r.Progress(Progress{Bytes: r.sum.Bytes, Lines: r.sum.Lines, Full: true})
		select {
		case <-time.After(r.Retry):
		case <-ctx.Done():
			return fmt.Errorf("line %d: wait for room in the spool: %w", r.sum.Lines, ctx.Err())
		}
		duplicate, err = r.Spool.AppendLines(ctx, batch)
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", r.sum.Lines, err)
	}
	for i, twice := range duplicate {
		if twice {
			r.sum.Duplicate++
			continue
		}
		r.sum.Taken++
		r.sum.Events += int64(len(batch[i].Events))
	}
	return nil
}

func (r *run) reject(line int64, e *hit.Error) {
	r.sum.Rejected++
	if len(r.sum.Rejections) < MaxRejections {
		r.sum.Rejections = append(r.sum.Rejections, Rejection{line, e})
	}
	r.reasons[Reason{Field: everyEvent(e.Field), Problem: e.Problem}]++
}

// everyEvent is a field without the place of its event, so that the reasons of
// a million lines are few.
func everyEvent(field string) string {
	if i := strings.IndexByte(field, '['); i >= 0 {
		if j := strings.IndexByte(field[i:], ']'); j >= 0 {
			return field[:i+1] + field[i+j:]
		}
	}
	return field
}

func (r *run) reasonsInOrder() []Reason {
	all := make([]Reason, 0, len(r.reasons))
	for reason, n := range r.reasons {
		reason.Lines = n
		all = append(all, reason)
	}
	slices.SortFunc(all, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Problem, b.Problem))
	})
	return all
}
