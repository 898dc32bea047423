//go:build linux

package yardstick

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/spool"
)

// bare is the yardstick: what a handler must do that reads a beacon and has it
// on disk before it answers, and nothing else. It does not ask whose page it
// is, where the reader is or which browser; it has no limits, no figures, and
// nobody takes what it has stored. It ends on SIGTERM.
func bare(out io.Writer, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		return err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/e", func(c *fiber.Ctx) error {
		b, err := hit.Decode(c.Body())
		if err != nil {
			return fiber.NewError(fiber.StatusBadRequest, err.Error())
		}
		defer b.Release()
		now := time.Now()
		events, rows := make([]*event.Event, len(b.Events)), make([]event.Event, len(b.Events))
		for i := range b.Events {
			e := &rows[i]
			e.Site, e.Type, e.View, e.Page = b.Site, b.Events[i].Type, b.View, b.Page
			e.Time, e.Received = now.Add(-b.Events[i].Age).UnixMilli(), now.UnixMilli()
			events[i] = e
		}
		if err := s.Append(context.Background(), events); err != nil {
			return err
		}
		return c.SendStatus(fiber.StatusNoContent)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", ln.Addr())
	ended := make(chan error, 1)
	go func() { ended <- app.Listener(ln) }()
	select {
	case err = <-ended:
		return err
	case <-ctx.Done():
	}
	if err := app.Shutdown(); err != nil {
		return err
	}
	return s.Close()
}
