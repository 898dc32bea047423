package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/spool"
)

// quarantine keeps rows that ClickHouse refuses, one file a row: its name is
// the part's label, a dot and the row; its content the event as in the spool.
// A row is on disk here before the batch goes on without it.
type quarantine struct {
	dir  string
	mu   sync.Mutex
	rows map[string]map[uint64]bool // by label
}

func openQuarantine(dir string) (*quarantine, error) {
	q := &quarantine{dir: dir, rows: map[string]map[uint64]bool{}}
	if dir == "" {
		return q, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			continue
		}
		if row, err := strconv.ParseUint(name[dot+1:], 10, 64); err == nil {
			q.note(name[:dot], row)
		} // else it is being written, or somebody else's
	}
	return q, nil
}

func (q *quarantine) open() bool { return q.dir != "" }

func (q *quarantine) note(label string, row uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.rows[label] == nil {
		q.rows[label] = map[uint64]bool{}
	}
	q.rows[label][row] = true
}

// of returns the rows of a part that are here.
func (q *quarantine) of(label string) map[uint64]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rows[label]
}

// within returns the rows of a batch that are here, of all its parts.
func (q *quarantine) within(spoolID string, r spool.Range) (rows map[uint64]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for label, some := range q.rows {
		if !strings.HasPrefix(label, fmt.Sprintf("%s.%d.", spoolID, r.From)) {
			continue
		}
		for row := range some {
			if rows == nil {
				rows = map[uint64]bool{}
			}
			rows[row] = true
		}
	}
	return rows
}

// count returns how many rows are here.
func (q *quarantine) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, rows := range q.rows {
		n += len(rows)
	}
	return n
}

func (q *quarantine) put(p *part, rows []uint64) error {
	if err := os.MkdirAll(q.dir, 0o700); err != nil {
		return err
	}
	wanted := map[uint64]bool{}
	for _, row := range rows {
		wanted[row] = true
	}
	err := p.walk(readRows, func(rows []uint64, events []*event.Event) error {
		for i, row := range rows {
			if !wanted[row] {
				continue
			}
			content, err := events[i].MarshalVT()
			if err != nil {
				return fmt.Errorf("row %d: %w", row, err)
			}
			if err := writeDurably(filepath.Join(q.dir, fmt.Sprintf("%s.%d", p.label, row)), content); err != nil {
				return fmt.Errorf("row %d: %w", row, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := syncDir(q.dir); err != nil {
		return err
	}
	for _, row := range rows {
		q.note(p.label, row)
	}
	return nil
}

// erase deletes the rows that match. They stay known: their batch was loaded
// without them, and would have them missing otherwise.
func (q *quarantine) erase(match func(*event.Event) bool) (n int, err error) {
	q.mu.Lock()
	var names []string
	for label, rows := range q.rows {
		for row := range rows {
			names = append(names, fmt.Sprintf("%s.%d", label, row))
		}
	}
	q.mu.Unlock()
	for _, name := range names {
		path := filepath.Join(q.dir, name)
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // erased before, or taken away by somebody
		}
		if err != nil {
			return n, err
		}
		var e event.Event
		if err := e.UnmarshalVT(content); err != nil {
			return n, fmt.Errorf("%s: %w", name, err)
		}
		if !match(&e) {
			continue
		}
		if err := os.Remove(path); err != nil {
			return n, err
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, syncDir(q.dir)
}

func writeDurably(path string, content []byte) (err error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
