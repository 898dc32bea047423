package loader

import (
	"context"
	"fmt"
	"time"

	"github.com/passalong/passalong/collector/spool"
)

const textsInsert = "INSERT INTO passalong_private.texts (`site`, `day`, `batch`, `row`, `item`, `view`, `visitor`, `network`, `page`, `type`, `quote`, `text`, `received`)"

// insertTexts writes quotes and answers' texts, which the reading user does
// not see. The key of the table is the row's id, so a repeat replaces itself.
// Bots' texts are not kept: no view may show them.
func (l *Loader) insertTexts(ctx context.Context, b *spool.Batch) error {
	var parts []*part
	for _, p := range cut(l.o.Spool.ID(), b) {
		skip := map[uint64]bool{}
		for i, e := range p.events {
			if e.Bot || e.Quote == "" && e.Text == "" {
				skip[p.rows[i]] = true
			}
		}
		if len(skip) < len(p.events) {
			parts = append(parts, p.without(skip))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Attempt)
	defer cancel()
	batch, err := l.o.DB.Conn().PrepareBatch(insertContext(ctx, "passalong-texts-"+nonce()), textsInsert)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	count := uint64(0)
	for _, p := range parts {
		for i, e := range p.events {
			err := batch.Append(e.Site, dayTime(e.Day), p.label, p.rows[i], uint8(e.Item), e.View, e.Visitor, e.Network, e.Page,
				e.Type, e.Quote, e.Text, time.UnixMilli(e.Received).UTC())
			if err != nil {
				return fmt.Errorf("row %d: %w", p.rows[i], err)
			}
			count++
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	l.figures.texts.Add(count)
	return nil
}
