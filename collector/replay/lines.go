package replay

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/intake"
)

const (
	workers    = 2
	chunkBytes = 4 << 20 // read ahead at most, beside what is being stored
)

// A chunk is some lines in the order of the file.
type chunk struct {
	text  []byte
	lines []line
}

type line struct {
	from, to int   // in the chunk's text, without its end
	bytes    int64 // in the file, with its end
	blank    bool
	identity [16]byte
	parsed   intake.Parsed
	err      error
}

// read sends chunks of parsed lines until the file ends. It closes nothing.
func (r *run) read(ctx context.Context, in io.Reader, to chan<- *chunk) error {
	file := bufio.NewReaderSize(in, 64<<10)
	first := true
	for {
		c := &chunk{}
		err := c.fill(file, r.ChunkLines)
		if first && len(c.lines) > 0 {
			c.lines[0].skipMark(c.text)
			first = false
		}
		if len(c.lines) > 0 {
			c.parse(r.Import, r.Now())
			select {
			case to <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
}

// fill reads whole lines. Of one that is too long it keeps what fits and one
// byte more, which is enough to be refused; the last may lack its end.
func (c *chunk) fill(file *bufio.Reader, most int) error {
	for len(c.lines) < most && len(c.text) < chunkBytes {
		l := line{from: len(c.text)}
		for {
			piece, err := file.ReadSlice('\n')
			l.bytes += int64(len(piece))
			room := hit.MaxLine + len("\r\n") + 1 - (len(c.text) - l.from)
			c.text = append(c.text, piece[:min(len(piece), room)]...)
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if err != nil && l.bytes == 0 {
				return err
			}
			l.to = len(c.text)
			l.trim(c.text)
			c.lines = append(c.lines, l)
			if err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// trim takes the line's end off and tells whether anything is left.
func (l *line) trim(text []byte) {
	s := text[l.from:l.to]
	s = bytes.TrimSuffix(s, []byte("\n"))
	s = bytes.TrimSuffix(s, []byte("\r"))
	l.to = l.from + len(s)
	l.blank = l.bytes <= hit.MaxLine && len(bytes.TrimSpace(s)) == 0
}

// skipMark leaves out the byte order mark that some editors put before a file.
func (l *line) skipMark(text []byte) {
	mark := []byte("\xef\xbb\xbf")
	if bytes.HasPrefix(text[l.from:l.to], mark) {
		l.from += len(mark)
		l.trim(text)
	}
}

// parse reads the lines with two workers, a half each: more would take the
// processor from the loader that works beside an import.
func (c *chunk) parse(in *intake.Import, now time.Time) {
	var wait sync.WaitGroup
	size := (len(c.lines) + workers - 1) / workers
	for from := 0; from < len(c.lines); from += size {
		part := c.lines[from:min(from+size, len(c.lines))]
		wait.Go(func() {
			for i := range part {
				if l := &part[i]; !l.blank {
					text := c.text[l.from:l.to]
					l.identity = identity(text)
					l.parsed, l.err = in.Parse(text, now)
				}
			}
		})
	}
	wait.Wait()
	c.text = nil // what was parsed holds its own copy
}

// identity is what a line is known by: the first half of its SHA-256, so that
// the same line adds nothing a second time.
func identity(line []byte) [16]byte {
	sum := sha256.Sum256(line)
	return [16]byte(sum[:16])
}
