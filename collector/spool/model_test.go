package spool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// model is what a spool is, in memory: a list with a mark.
type model struct {
	t    *rapid.T
	fs   *vfs.MemFS
	s    *Spool
	id   string
	rows []string // every event ever, by row
	cuts []Range  // not released
	mark uint64
	days map[byte]int32 // identities
	made int
}

// TestModel runs random steps against a spool and the model, restarts and power
// cuts among them, and holds the two against each other after each.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewCrashableMem()
		must(t, fs.MkdirAll("/data", 0o755))
		must(t, syncDir(fs, "/"))
		m := &model{t: rt, fs: fs, days: map[byte]int32{}}
		m.open()
		m.id = m.s.ID()
		defer func() { m.check("close", m.s.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"lines":   m.lines,
			"next":    func(rt *rapid.T) { m.next(rt) },
			"done":    m.done,
			"release": m.release,
			"forget":  m.forget,
			"restart": m.restart,
			"crash":   m.crash,
			"":        m.compare,
		})
	})
}

func (m *model) check(step string, err error) {
	if err != nil {
		m.t.Fatalf("%s: %v", step, err)
	}
}

func (m *model) open() {
	s, err := Open(in(m.fs))
	m.check("open", err)
	m.s = s
}

func (m *model) add(name string, n int) {
	for i := range n {
		m.rows = append(m.rows, fmt.Sprintf("%s/%d", name, i))
	}
}

func (m *model) append(rt *rapid.T) {
	n := rapid.IntRange(1, 5).Draw(rt, "events")
	m.made++
	name := fmt.Sprint("b", m.made)
	m.check("append", m.s.Append(context.Background(), beacon(name, n)))
	m.add(name, n)
}

func (m *model) lines(rt *rapid.T) {
	var lines []Line
	var want []bool
	for range rapid.IntRange(0, 6).Draw(rt, "lines") {
		id := rapid.ByteRange(0, 20).Draw(rt, "identity")
		day := rapid.Int32Range(-2, 5).Draw(rt, "day")
		n := rapid.IntRange(0, 3).Draw(rt, "events")
		m.made++
		name := fmt.Sprint("l", m.made)
		lines = append(lines, Line{Identity: [16]byte{id}, Day: day, Events: beacon(name, n)})
		_, known := m.days[id]
		want = append(want, known)
		if !known {
			m.days[id] = day
			m.add(name, n)
		}
	}
	got, err := m.s.AppendLines(context.Background(), lines)
	m.check("lines", err)
	if len(got) != len(want) || (len(got) > 0 && !reflect.DeepEqual(got, want)) {
		rt.Fatalf("duplicates: got %v, want %v", got, want)
	}
}

// next checks the oldest batch, and cuts one where the model has none.
func (m *model) next(rt *rapid.T) *Batch {
	if uint64(len(m.rows)) == m.mark {
		return nil // it would wait
	}
	maxRows := rapid.IntRange(1, 12).Draw(rt, "rows")
	b, err := m.s.Next(context.Background(), maxRows, 0)
	m.check("next", err)
	old := false
	for _, r := range m.cuts {
		if r.From == m.mark {
			old = true
			if b.Range != r {
				rt.Fatalf("got batch %v, want %v as it was cut", b.Range, r)
			}
		}
	}
	if b.Again != old {
		rt.Fatalf("batch %v: again=%t, want %t", b.Range, b.Again, old)
	}
	if !old {
		if b.From != m.mark || b.Rows() == 0 || b.Rows() > uint64(maxRows) || b.To > uint64(len(m.rows)) {
			rt.Fatalf("got batch %v of at most %d rows at mark %d of %d", b.Range, maxRows, m.mark, len(m.rows))
		}
		m.cuts = append(m.cuts, b.Range)
	}
	m.holds(rt, b)
	return b
}

func (m *model) holds(rt *rapid.T, b *Batch) {
	all := events(rt, b)
	if uint64(len(all)) != b.Rows() {
		rt.Fatalf("batch %v has %d events", b.Range, len(all))
	}
	for i, e := range all {
		if got, want := name(e), m.rows[b.From+uint64(i)]; got != want {
			rt.Fatalf("row %d: got %s, want %s", b.From+uint64(i), got, want)
		}
	}
}

func (m *model) done(rt *rapid.T) {
	if b := m.next(rt); b != nil {
		m.check("done", m.s.Done(b))
		m.mark = b.To
	}
}

func (m *model) release(rt *rapid.T) {
	to := rapid.Uint64Range(0, uint64(len(m.rows))+3).Draw(rt, "to")
	m.check("release", m.s.Release(to))
	// A batch that ends inside a group stays, so the model takes the spool's word
	// for how many went, and holds it to having been allowed.
	loaded := m.s.Loaded()
	gone := 0
	for gone < len(m.cuts) && m.cuts[gone].To <= m.mark && (len(loaded) == 0 || m.cuts[gone].From < loaded[0].From) {
		if m.cuts[gone].To > to {
			rt.Fatalf("batch %v is gone, released were rows below %d", m.cuts[gone], to)
		}
		gone++
	}
	m.cuts = m.cuts[gone:]
}

func (m *model) forget(rt *rapid.T) {
	day := rapid.Int32Range(-3, 6).Draw(rt, "day")
	m.check("forget", m.s.Forget(day))
	for id, d := range m.days {
		if d < day {
			delete(m.days, id)
		}
	}
}

func (m *model) restart(*rapid.T) {
	m.check("close", m.s.Close())
	m.open()
}

func (m *model) crash(rt *rapid.T) {
	seed := rapid.Uint64().Draw(rt, "seed")
	left := m.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(rt, "unsynced"),
		RNG:                 rand.New(rand.NewPCG(seed, 0)),
	})
	m.check("close", m.s.Close())
	m.fs = left
	m.open()
}

func (m *model) compare(rt *rapid.T) {
	st := m.s.Stats()
	if m.s.ID() != m.id || len(st.SetAside) > 0 {
		rt.Fatalf("the spool was set aside: %v", st.SetAside)
	}
	if st.NextRow != uint64(len(m.rows)) || st.Mark != m.mark || st.Rows != uint64(len(m.rows))-m.mark {
		rt.Fatalf("got %+v, want next row %d, mark %d", st, len(m.rows), m.mark)
	}
	if st.Bytes > st.StoredBytes || (st.Bytes == 0) != (st.Rows == 0) || (st.OldestReceived == 0) != (st.Rows == 0) {
		rt.Fatalf("figures do not fit together: %+v", st)
	}
	var loaded []Range
	for _, r := range m.cuts {
		if r.To <= m.mark {
			loaded = append(loaded, r)
		}
	}
	if !reflect.DeepEqual(m.s.Loaded(), loaded) {
		rt.Fatalf("loaded: got %v, want %v", m.s.Loaded(), loaded)
	}
	from := m.mark
	if len(loaded) > 0 {
		from = loaded[0].From
	}
	b, err := m.s.Read(Range{from, uint64(len(m.rows))})
	m.check("read", err)
	m.holds(rt, b)
}
