package torture

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"time"
)

// A diary keeps what a process says, line by line. Any goroutine may read.
type diary struct {
	mu    sync.Mutex
	rest  []byte // a line that has no end yet
	lines []string
	news  chan struct{} // closed and replaced with every line
	ended bool          // nothing comes any more
}

func newDiary() *diary { return &diary{news: make(chan struct{})} }

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rest = append(d.rest, p...)
	for {
		line, rest, whole := bytes.Cut(d.rest, []byte("\n"))
		if !whole {
			break
		}
		d.lines, d.rest = append(d.lines, string(line)), rest
	}
	d.tell()
	return len(p), nil
}

// end says that nothing comes any more.
func (d *diary) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.tell()
}

func (d *diary) tell() {
	close(d.news)
	d.news = make(chan struct{})
}

// count is how many lines hold all of these texts.
func (d *diary) count(texts ...string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		if holds(line, texts) {
			n++
		}
	}
	return n
}

// await returns the first line that holds all of these texts; not ok when there
// is none in time, or the process ends without it.
func (d *diary) await(limit time.Duration, texts ...string) (line string, ok bool) {
	late := time.NewTimer(limit)
	defer late.Stop()
	for looked := 0; ; {
		d.mu.Lock()
		for ; looked < len(d.lines); looked++ {
			if holds(d.lines[looked], texts) {
				defer d.mu.Unlock()
				return d.lines[looked], true
			}
		}
		news, ended := d.news, d.ended
		d.mu.Unlock()
		if ended {
			return "", false
		}
		select {
		case <-news:
		case <-late.C:
			return "", false
		}
	}
}

func holds(line string, texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) })
}

// tail is the last n lines.
func (d *diary) tail(n int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines[max(0, len(d.lines)-n):], "\n")
}
