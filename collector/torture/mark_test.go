package torture

import (
	numbers "encoding/binary"
	"hash/crc32"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// The mark of the spool says which rows are loaded. When it is lost, old or
// garbage, batches come again and are counted, and stand once.
func TestAMarkThatIsWrongCostsNothing(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	c := w.serve().ready()
	rnd := chance(n, 24)
	noise := func() []byte {
		b := make([]byte, rnd.IntN(20))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	var old []byte
	for i := range at(t, 4, 8, 80) {
		w.send(40, 4)
		c.flush()
		if i%2 == 0 {
			w.send(40, 4) // some of it waits, perhaps
		}
		w.off(c)
		w.edit(func(db *pebble.DB) error {
			was, closer, err := db.Get(markKey)
			if err != nil {
				return err
			}
			defer closer.Close()
			was = append([]byte(nil), was...)
			switch {
			case i%4 == 0:
				err = db.Delete(markKey, pebble.Sync)
			case i%4 == 1 && old != nil:
				err = db.Set(markKey, old, pebble.Sync)
			case i%4 == 2: // in the middle of a batch, and whole
				row, _ := numbers.Uvarint(was[5:])
				err = db.Set(markKey, mark(row-min(row, 1+uint64(rnd.IntN(30)))), pebble.Sync)
			default:
				err = db.Set(markKey, noise(), pebble.Sync)
			}
			old = was
			return err
		})
		c = w.serve().ready()
		w.check()
		if aside, _ := filepath.Glob(filepath.Join(w.setup.dir, "spool.damaged-*")); len(aside) > 0 {
			t.Errorf("a wrong mark was taken for damage of the spool: %v\n%s", aside, c.log.tail(20))
		}
		if t.Failed() {
			t.Fatalf("after round %d", i)
		}
	}
	c.stop()
}

// As docs/reference/spool-format.md draws it.
var markKey = []byte("mark")

func mark(row uint64) []byte {
	value := numbers.AppendUvarint([]byte{1, 0, 0, 0, 0}, row)
	table := crc32.MakeTable(crc32.Castagnoli)
	numbers.LittleEndian.PutUint32(value[1:], crc32.Update(crc32.Checksum(markKey, table), table, value[5:]))
	return value
}

// edit changes what the spool has on disk while no collector uses it.
func (w *world) edit(change func(*pebble.DB) error) {
	w.Helper()
	db, err := pebble.Open(filepath.Join(w.setup.dir, "spool", "events"), &pebble.Options{ErrorIfNotExists: true, FormatMajorVersion: pebble.FormatTableFormatV6, Logger: silence{}})
	if err != nil {
		w.Fatal(err)
	}
	if err := change(db); err != nil {
		w.Fatal(err)
	}
	if err := db.Close(); err != nil {
		w.Fatal(err)
	}
}

// silence is a logger of Pebble's; what it tells of opening is no news.
type silence struct{}

func (silence) Infof(string, ...any)              {}
func (silence) Errorf(string, ...any)             {}
func (silence) Fatalf(format string, args ...any) { panic(format) }
