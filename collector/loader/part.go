package loader

import (
	"fmt"
	"time"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/spool"
)

// A part is what of a batch falls into one month: one insert into one
// partition, stored as a whole or not at all, and counted alone by its label.
type part struct {
	label      string // spool id . first row of the batch . yyyymm
	month      int    // yyyymm, the partition
	begin, end int64  // of the month, Unix milliseconds
	events     []*event.Event
	rows       []uint64 // row of each event
}

// cut divides a batch by the month of `time`, in the order the months appear.
func cut(spoolID string, b *spool.Batch) []*part {
	var parts []*part
	var p *part
	for i, e := range b.Events {
		if p == nil || e.Time < p.begin || e.Time >= p.end {
			p = nil
			for _, q := range parts {
				if e.Time >= q.begin && e.Time < q.end {
					p = q
				}
			}
			if p == nil {
				p = newPart(spoolID, b.From, e.Time)
				parts = append(parts, p)
			}
		}
		p.events = append(p.events, e)
		p.rows = append(p.rows, b.From+uint64(i))
	}
	return parts
}

func newPart(spoolID string, from uint64, at int64) *part {
	y, m, _ := time.UnixMilli(at).UTC().Date()
	first := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
	month := y*100 + int(m)
	return &part{
		label: fmt.Sprintf("%s.%d.%06d", spoolID, from, month),
		month: month,
		begin: first.UnixMilli(),
		end:   first.AddDate(0, 1, 0).UnixMilli(),
	}
}

// without returns the part without some rows.
func (p *part) without(rows map[uint64]bool) *part {
	if len(rows) == 0 {
		return p
	}
	rest := *p
	rest.events, rest.rows = nil, nil
	for i, row := range p.rows {
		if !rows[row] {
			rest.events, rest.rows = append(rest.events, p.events[i]), append(rest.rows, row)
		}
	}
	return &rest
}

// slice returns rows i ≤ row < j of the part, under the same label.
func (p *part) slice(i, j int) *part {
	s := *p
	s.events, s.rows = p.events[i:j], p.rows[i:j]
	return &s
}
