package loader

import (
	"context"
	"fmt"
	"time"

	"github.com/passalong/passalong/collector/event"
)

const textsInsert = "INSERT INTO passalong_private.texts (`site`, `day`, `batch`, `row`, `item`, `view`, `visitor`, `network`, `page`, `type`, `quote`, `text`, `received`)"

// hasText says whether an event has something for this table. Bots' texts are
// not kept: no view may show them.
func hasText(e *event.Event) bool { return !e.Bot && (e.Quote != "" || e.Text != "") }

// insertTexts writes quotes and answers' texts, which the reading user does
// not see. The key of the table is the row's id, so a repeat replaces itself.
func (l *Loader) insertTexts(ctx context.Context, d *digest) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.Attempt)
	defer cancel()
	batch, err := l.o.DB.Conn().PrepareBatch(insertContext(ctx, "passalong-texts-"+nonce()), textsInsert)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, p := range d.parts {
		err := p.walk(readRows, func(rows []uint64, events []*event.Event) error {
			for i, e := range events {
				if !hasText(e) {
					continue
				}
				err := batch.Append(e.Site, dayTime(e.Day), p.label, rows[i], uint8(e.Item), e.View, e.Visitor, e.Network, e.Page,
					e.Type, e.Quote, e.Text, time.UnixMilli(e.Received).UTC())
				if err != nil {
					return fmt.Errorf("row %d: %w", rows[i], err)
				}
			}
			return nil
		})
		if err != nil {
			_ = batch.Abort() // the connection is dropped, which is all there is to do
			return err
		}
	}
	count := uint64(batch.Rows())
	if err := batch.Send(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	l.figures.texts.Add(count)
	return nil
}
