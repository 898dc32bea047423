package loader

import (
	"fmt"
	"slices"
	"time"

	"github.com/passalong/passalong/collector/erase"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/lineage"
	"github.com/passalong/passalong/collector/spool"
)

// A part is what of a batch falls into one month: one insert into one
// partition, stored as a whole or not at all, and counted alone by its label.
type part struct {
	batch      *spool.Batch
	label      string // spool id . first row of the batch . yyyymm
	month      int    // yyyymm, the partition
	begin, end int64  // of the month, Unix milliseconds
	rows       []uint64
}

// A digest is what one reading of a batch's events finds.
type digest struct {
	batch *spool.Batch
	under erase.Mark      // the orders by which rows were left out
	aside int             // how many were left out because they are in quarantine
	parts []*part         // in the order their months appear
	born  []lineage.Birth // as births says
	given []lineage.Consent
	texts bool // some event has a text that few may read
}

// read digests a batch without the rows in out. A month of which nothing is
// left is a part too: what an earlier attempt stored of it has to go.
func read(spoolID string, b *spool.Batch, out map[uint64]bool) (*digest, error) {
	var (
		d        = digest{batch: b}
		p        *part
		consents consents
	)
	err := b.Walk(readRows, func(first uint64, run []event.Event) error {
		for i := range run {
			e := &run[i]
			if p == nil || e.Time < p.begin || e.Time >= p.end {
				at := slices.IndexFunc(d.parts, func(q *part) bool { return e.Time >= q.begin && e.Time < q.end })
				if at < 0 {
					at = len(d.parts)
					d.parts = append(d.parts, newPart(spoolID, b, e.Time))
				}
				p = d.parts[at]
			}
			row := first + uint64(i)
			if out[row] {
				continue
			}
			p.rows = append(p.rows, row)
			if born, is := birth(e); is {
				d.born = append(d.born, born)
			}
			consents.add(e)
			d.texts = d.texts || hasText(e)
		}
		return nil
	})
	d.given = consents.given
	return &d, err
}

// readRows is how many events are decoded at a time where they are only looked
// at: few, so that they stay in the processor's cache.
const readRows = 64

func newPart(spoolID string, b *spool.Batch, at int64) *part {
	y, m, _ := time.UnixMilli(at).UTC().Date()
	first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	month := y*100 + int(m)
	return &part{
		batch: b,
		label: fmt.Sprintf("%s.%d.%06d", spoolID, b.From, month),
		month: month,
		begin: first.UnixMilli(),
		end:   first.AddDate(0, 1, 0).UnixMilli(),
	}
}

// walk reads the part's events, as spool.Batch.Walk does.
func (p *part) walk(most int, fn func(rows []uint64, events []*event.Event) error) error {
	rest := p.rows
	var events []*event.Event
	return p.batch.Walk(most, func(first uint64, run []event.Event) error {
		n := 0
		events = events[:0]
		for ; n < len(rest) && rest[n] < first+uint64(len(run)); n++ {
			events = append(events, &run[rest[n]-first])
		}
		if n == 0 {
			return nil
		}
		rows := rest[:n]
		rest = rest[n:]
		return fn(rows, events)
	})
}

// without returns the part without some rows.
func (p *part) without(rows map[uint64]bool) *part {
	if len(rows) == 0 {
		return p
	}
	rest := *p
	rest.rows = nil
	for _, row := range p.rows {
		if !rows[row] {
			rest.rows = append(rest.rows, row)
		}
	}
	return &rest
}

// slice returns the i-th to the j-th of the part's rows, under the same label.
func (p *part) slice(i, j int) *part {
	s := *p
	s.rows = p.rows[i:j]
	return &s
}
