package spool

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// raw changes the keys of a closed spool behind its back.
func raw(t *testing.T, fs FS, change func(*pebble.DB)) {
	t.Helper()
	db, err := pebble.Open("/data/spool/"+engineDir, engineOptions(fs, 16<<20, &engineLog{log: new(journal).logger()}, func(error) {}))
	must(t, err)
	change(db)
	must(t, db.Close())
}

func TestANewerFormatRefusesAndNamesTheVersion(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*testing.T, FS)
	}{
		{"in its key", func(t *testing.T, fs FS) {
			raw(t, fs, func(db *pebble.DB) { must(t, set(db, keyFormat, format{2, "9.1.0"}.encode())) })
		}},
		{"in its label, behind which nothing can be read", func(t *testing.T, fs FS) {
			must(t, writeFile(fs, "/data/spool/"+labelName, "passalong spool 2\nwritten by 9.1.0\n"))
			must(t, fs.RemoveAll("/data/spool/"+engineDir))
			must(t, writeFile(fs, "/data/spool/"+engineDir, "no directory"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := memory(t)
			s := open(t, in(fs))
			mustAppend(t, s, "a", 1)
			mustClose(t, s)
			test.change(t, fs)
			_, err := Open(in(fs))
			if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), `"9.1.0"`) {
				t.Errorf("got %v, want %v naming 9.1.0", err, ErrNewer)
			}
			names, err := fs.List("/data")
			must(t, err)
			if len(names) != 1 {
				t.Errorf("something was set aside: %v", names)
			}
		})
	}
}

func TestThePebbleOfANewerVersionRefusesToo(t *testing.T) {
	fs := memory(t)
	mustClose(t, open(t, in(fs)))
	files, err := fs.List("/data/spool/" + engineDir)
	must(t, err)
	for _, f := range files {
		if strings.HasPrefix(f, "marker.format-version") {
			from := "/data/spool/" + engineDir + "/" + f
			must(t, fs.Rename(from, from[:strings.LastIndex(from, ".")]+".099"))
		}
	}
	if _, err := Open(in(fs)); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), `"1.0.0"`) {
		t.Errorf("got %v, want %v naming 1.0.0", err, ErrNewer)
	}
}

func TestTheVersionThatWroteLastIsKept(t *testing.T) {
	fs := memory(t)
	mustClose(t, open(t, in(fs)))
	o := in(fs)
	o.Version = "1.2.0"
	mustClose(t, open(t, o))
	label, err := readFile(fs, "/data/spool/"+labelName)
	must(t, err)
	if want := "passalong spool 1\nwritten by 1.2.0\n"; label != want {
		t.Errorf("got label %q, want %q", label, want)
	}
	raw(t, fs, func(db *pebble.DB) {
		value, err := get(db, keyFormat)
		must(t, err)
		if f, err := decodeFormat(value); err != nil || f != (format{1, "1.2.0"}) {
			t.Errorf("got %v, %v", f, err)
		}
	})
}

// Numbers that are lost, old or garbage cost at most that batches come again.
func TestTheMarkMayBeLost(t *testing.T) {
	garbage := func(key []byte) func(*testing.T, *pebble.DB) {
		return func(t *testing.T, db *pebble.DB) { must(t, set(db, key, []byte("garbage"))) }
	}
	to := func(n uint64) func(*testing.T, *pebble.DB) {
		return func(t *testing.T, db *pebble.DB) { must(t, set(db, keyMark, encodeNumbers(keyMark, n))) }
	}
	lost := func(key []byte) func(*testing.T, *pebble.DB) {
		return func(t *testing.T, db *pebble.DB) { must(t, db.Delete(key, pebble.Sync)) }
	}
	for _, test := range []struct {
		name   string
		change func(*testing.T, *pebble.DB)
		mark   uint64 // where it stands afterwards
	}{
		{"as it was", func(*testing.T, *pebble.DB) {}, 4},
		{"lost", lost(keyMark), 2},
		{"garbage", garbage(keyMark), 2},
		{"old, at a batch that is still there", to(2), 2},
		{"old, at a batch that is gone", to(0), 2},
		{"inside a batch", to(3), 2},
		{"past the end", to(99), 2},
		{"next row lost", lost(keyNext), 4},
		{"next row garbage", garbage(keyNext), 4},
		{"next row old", func(t *testing.T, db *pebble.DB) { must(t, set(db, keyNext, encodeNumbers(keyNext, 1, 1))) }, 4},
		{"both lost", func(t *testing.T, db *pebble.DB) { lost(keyMark)(t, db); lost(keyNext)(t, db) }, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			// Batches of two rows: released, loaded, cut; then one beacon not cut.
			fs := memory(t)
			s := open(t, in(fs))
			for i := range 3 {
				mustAppend(t, s, fmt.Sprint("batch", i), 2)
				b := mustNext(t, s, 0)
				if i < 2 {
					must(t, s.Done(b))
				}
			}
			must(t, s.Release(2))
			mustAppend(t, s, "last", 1)
			want := s.Stats()
			mustClose(t, s)
			raw(t, fs, func(db *pebble.DB) { test.change(t, db) })

			s = open(t, in(fs))
			st := s.Stats()
			if len(st.SetAside) > 0 {
				t.Fatalf("set aside: %v", st.SetAside)
			}
			if st.Mark != test.mark || st.NextRow != 7 || st.StoredBytes != want.StoredBytes {
				t.Errorf("got %+v, want mark %d and otherwise %+v", st, test.mark, want)
			}
			for at := test.mark; at < 6; at += 2 {
				b := mustNext(t, s, 0)
				if b.Range != (Range{at, at + 2}) || !b.Again {
					t.Errorf("got %v again=%t, want rows %d to %d again", b.Range, b.Again, at, at+2)
				}
				must(t, s.Done(b))
			}
			if b := mustNext(t, s, 0); names(events(t, b)) != "last/0" || b.Again {
				t.Errorf("got %s again=%t, want last/0 for the first time", names(events(t, b)), b.Again)
			}
			mustAppend(t, s, "new", 1)
			if got := s.Stats().NextRow; got != 8 {
				t.Errorf("next row is %d, want 8", got)
			}
		})
	}
}

func TestDamageIsSetAsideAndReported(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*testing.T, *pebble.DB)
		want   string
	}{
		{"the first keys gone", func(t *testing.T, db *pebble.DB) { must(t, db.Delete(keyFormat, pebble.Sync)) }, "key format is missing"},
		{"the id gone", func(t *testing.T, db *pebble.DB) { must(t, db.Delete(keyID, pebble.Sync)) }, "key id"},
		{"a batch without its events", func(t *testing.T, db *pebble.DB) {
			must(t, db.DeleteRange(rowKey(prefixGroup, 0), rowKey(prefixGroup, 99), pebble.Sync))
		}, "missing"},
		{"the newest group turned to garbage", func(t *testing.T, db *pebble.DB) {
			must(t, set(db, rowKey(prefixGroup, 2), []byte("garbage")))
		}, "group of row 2"},
		{"a batch that does not follow its neighbour", func(t *testing.T, db *pebble.DB) {
			key := rowKey(prefixCut, 1)
			must(t, set(db, key, encodeNumbers(key, 2)))
		}, "not where the one before ends"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := memory(t)
			s := open(t, in(fs))
			mustAppend(t, s, "a", 2)
			mustNext(t, s, 0)
			mustAppend(t, s, "b", 1)
			id := s.ID()
			mustClose(t, s)
			raw(t, fs, func(db *pebble.DB) { test.change(t, db) })
			s = checkSetAside(t, fs, test.want)
			if s.ID() == id {
				t.Error("the fresh spool has the id of the damaged one: its rows would have the same names")
			}
		})
	}
}

// A first start that a power cut has ended may leave the name of a manifest
// without the manifest. Where a spool was in use, that is damage.
func TestAFirstStartCutShortIsNoDamage(t *testing.T) {
	for _, used := range []bool{false, true} {
		t.Run(fmt.Sprintf("used before: %t", used), func(t *testing.T) {
			fs := memory(t)
			must(t, fs.MkdirAll("/data/spool/"+engineDir, 0o700))
			must(t, writeFile(fs, "/data/spool/"+engineDir+"/marker.manifest.000001.MANIFEST-000001", ""))
			if used {
				must(t, writeFile(fs, "/data/spool/"+labelName, "passalong spool 1\nwritten by 1.0.0\n"))
			}
			s := open(t, in(fs))
			if aside := s.Stats().SetAside; (len(aside) > 0) != used {
				t.Errorf("set aside: %v", aside)
			}
			mustAppend(t, s, "a", 1)
		})
	}
}

// checkSetAside opens a damaged spool and holds it against what is promised.
func checkSetAside(t *testing.T, fs FS, want string) *Spool {
	t.Helper()
	var log journal
	o := in(fs)
	o.Logger = log.logger()
	s := open(t, o)
	aside := s.Stats().SetAside
	if len(aside) != 1 || !strings.HasPrefix(aside[0], "spool.damaged-") {
		t.Fatalf("set aside: %v", aside)
	}
	note, err := readFile(fs, "/data/"+aside[0]+"/"+damagedName)
	must(t, err)
	if !strings.Contains(note, want) || !strings.Contains(log.String(), aside[0]) {
		t.Errorf("want %q in the note %q, and the directory in the log:\n%s", want, note, &log)
	}
	mustAppend(t, s, "fresh", 1)
	if got := names(rest(t, s)); got != "fresh/0" {
		t.Errorf("the fresh spool holds %s", got)
	}
	mustClose(t, s)
	s = open(t, in(fs)) // the next start goes on with it, and still says so
	if got := s.Stats().SetAside; len(got) != 1 || got[0] != aside[0] {
		t.Errorf("set aside: %v, want %v", got, aside)
	}
	return s
}

// Damage met while running: the spool ends, and the next start sets it aside.
func TestDamageMetWhileReadingEndsTheSpool(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	mustAppend(t, s, "a", 2)
	mustAppend(t, s, "b", 1)
	mustAppend(t, s, "c", 1)
	mustClose(t, s)
	raw(t, fs, func(db *pebble.DB) { must(t, set(db, rowKey(prefixGroup, 2), []byte("garbage"))) })

	s = open(t, in(fs)) // first and last group are whole
	_, err := s.Next(t.Context(), 0, 0)
	if !errors.Is(err, ErrDamaged) || !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "group of row 2") {
		t.Fatalf("got %v", err)
	}
	<-s.Failed()
	_ = s.Close() // it is the failure again
	checkSetAside(t, fs, "group of row 2")
}
