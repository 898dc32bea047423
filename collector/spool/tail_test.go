package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk makes a spool of some groups in a real directory, its last writes still in
// the log, and returns what it holds.
func disk(t *testing.T, groups int) (dir string, held []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data", "spool")
	s := open(t, Options{Dir: dir, Reserve: 1 << 20})
	for i := range groups {
		b := beacon(fmt.Sprint("beacon", i), 1+i%3)
		must(t, s.Append(t.Context(), b))
		held = append(held, names(b))
	}
	mustClose(t, s)
	return dir, held
}

func copyToMemory(t *testing.T, dir string) *vfs.MemFS {
	t.Helper()
	fs := memory(t)
	must(t, fs.MkdirAll("/data/spool/"+engineDir, 0o755))
	for _, path := range []string{".", engineDir} {
		files, err := os.ReadDir(filepath.Join(dir, path))
		must(t, err)
		for _, f := range files {
			if f.IsDir() {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, path, f.Name()))
			must(t, err)
			writeRaw(t, fs, fs.PathJoin("/data/spool", path, f.Name()), text)
		}
	}
	return fs
}

func writeRaw(t *testing.T, fs FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Clone(b)) // in memory and with the race detector, Pebble spoils what it was given
	must(t, errors.Join(err, f.Close()))
}

func readRaw(t *testing.T, fs FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return b
}

// newest is the path of the log that holds the newest groups.
func newest(t *testing.T, fs FS) string {
	t.Helper()
	files, err := fs.List("/data/spool/" + engineDir)
	must(t, err)
	log := ""
	for _, f := range files {
		if strings.HasSuffix(f, ".log") && f > log {
			log = f
		}
	}
	return "/data/spool/" + engineDir + "/" + log
}

// A process that dies leaves a log that ends anywhere: whatever was whole is
// there, in order, and nothing is set aside.
func TestATornTailIsNormal(t *testing.T) {
	dir, held := disk(t, 8)
	whole := readRaw(t, copyToMemory(t, dir), newest(t, copyToMemory(t, dir)))
	step := 1
	if os.Getenv("TORTURE") == "" {
		step = 19
	}
	most := -1
	for size := len(whole) % step; size <= len(whole); size += step {
		fs := copyToMemory(t, dir)
		writeRaw(t, fs, newest(t, fs), whole[:size])
		s, err := Open(in(fs))
		if err != nil {
			t.Fatalf("log of %d of %d bytes: %v", size, len(whole), err)
		}
		st := s.Stats()
		if len(st.SetAside) > 0 {
			t.Fatalf("log of %d of %d bytes: set aside", size, len(whole))
		}
		got := names(rest(t, s))
		n := 0
		for n < len(held) && strings.Join(held[:n], " ") != got {
			n++
		}
		if strings.Join(held[:n], " ") != got || n < most {
			t.Fatalf("log of %d of %d bytes: holds %s", size, len(whole), got)
		}
		most = n
		mustAppend(t, s, "after", 1)
		mustClose(t, s)
	}
	if most != len(held) {
		t.Errorf("the whole log holds %d of %d beacons", most, len(held))
	}
}

// A byte turned anywhere, and a file other than the newest log cut anywhere: the
// spool starts. Either it is set aside and says so, or everything is there but,
// after a crash, for the very newest commit, behind which there is no witness:
// nothing tells it from a torn tail.
func TestDamageAnywhereIsFoundOrHarmless(t *testing.T) {
	for _, test := range []struct {
		name    string
		groups  int
		heavy   bool // each group larger than Pebble's blocks, in more than one log
		crashed bool
		sparse  int // of how many offsets one is tried in make test
		step    int // and in make torture
	}{
		{"small groups", 8, false, false, 89, 1},
		{"small groups after a crash", 8, false, true, 89, 1},
		{"large groups", 24, true, false, 80_021, 4001},
		{"large groups after a crash", 24, true, true, 40_009, 4001},
	} {
		t.Run(test.name, func(t *testing.T) {
			step := test.step
			if os.Getenv("TORTURE") == "" {
				step = test.sparse
			}
			dir, held := disk(t, 0)
			s := open(t, Options{Dir: dir, Reserve: 1 << 20})
			for i := range test.groups {
				b := beacon(fmt.Sprint("beacon", i), 1+i%3)
				if test.heavy {
					b = heavy(fmt.Sprint("beacon", i))
				}
				must(t, s.Append(t.Context(), b))
				held = append(held, names(b))
			}
			mustClose(t, s)
			damageAnywhere(t, dir, held, test.crashed, step)
		})
	}
}

func damageAnywhere(t *testing.T, dir string, held []string, crashed bool, step int) {
	whole := copyToMemory(t, dir)
	log := newest(t, whole)
	if crashed { // then the log has no end
		b := readRaw(t, whole, log)
		writeRaw(t, whole, log, b[:len(b)-chunkEndHead])
	}
	files, err := whole.List("/data/spool/" + engineDir)
	must(t, err)
	for _, file := range files {
		path := "/data/spool/" + engineDir + "/" + file
		if crashed && path != log {
			continue // it is as after an orderly end
		}
		text := readRaw(t, whole, path)
		if len(text) == 0 || strings.HasPrefix(file, "OPTIONS") { // which are thrown away before they are read
			continue
		}
		tried, found, silent := 0, 0, 0
		damage := func(what string, changed []byte) {
			t.Helper()
			fs := whole.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			writeRaw(t, fs, path, changed)
			s, err := Open(in(fs))
			if err != nil {
				t.Errorf("%s: %s: %v", file, what, err)
				return
			}
			defer mustClose(t, s)
			tried++
			if len(s.Stats().SetAside) > 0 {
				found++
				return
			}
			all, got := strings.Join(held, " "), names(rest(t, s))
			if got == all {
				return
			}
			silent++
			if !crashed || path != log || got != strings.Join(held[:len(held)-1], " ") {
				t.Errorf("%s: %s: of %d bytes %d are there without a word", file, what, len(all), len(got))
			}
		}
		for at := len(text) % step; at < len(text); at += step {
			turned := bytes.Clone(text)
			turned[at] ^= 1 << (at / step % 8)
			damage(fmt.Sprintf("byte %d of %d turned", at, len(text)), turned)
			if path != log {
				damage(fmt.Sprintf("cut at %d of %d", at, len(text)), text[:at])
			}
		}
		kind := strings.TrimLeft(strings.Split(file, "-")[0], "0123456789")
		t.Logf("%-16s %7d bytes: %5d damages, %5d found, %5d harmless, %d taken for a torn tail", file, len(text), tried, found, tried-found-silent, silent)
		if tried > 0 && found == 0 && (kind == ".log" || kind == ".sst") {
			t.Errorf("no damage in %s was found", file)
		}
	}
}

func TestAWitnessOfDamage(t *testing.T) {
	dir, _ := disk(t, 4)
	fs := copyToMemory(t, dir)
	path := newest(t, fs)
	var number uint32
	if _, err := fmt.Sscanf(filepath.Base(path), "%d.log", &number); err != nil {
		t.Fatal(err)
	}
	log := readRaw(t, fs, path)
	var at []int // where its chunks begin
	var last chunkRead
	for end := 0; ; {
		c, ok := readChunk(log, end, number)
		if !ok {
			break
		}
		at, last, end = append(at, end), c, c.end
	}
	if len(at) < 4 {
		t.Fatalf("a log of %d chunks", len(at))
	}
	chunk := func(kind byte, sequence uint64) []byte {
		b := make([]byte, chunkHead+12)
		b[4], b[6] = 12, kind
		binary.LittleEndian.PutUint32(b[7:], number)
		binary.LittleEndian.PutUint64(b[chunkHead:], sequence)
		binary.LittleEndian.PutUint32(b, maskedSum(b[6:]))
		return b
	}
	torn := log[:last.end-5]
	turned := func(i int) []byte {
		b := bytes.Clone(log)
		b[at[i]+40] ^= 4
		return b
	}
	for _, test := range []struct {
		name    string
		log     []byte
		witness bool
	}{
		{"a whole log", log, false},
		{"an empty log", nil, false},
		{"a torn tail", torn, false},
		{"a byte turned in the first chunk", turned(0), true},
		{"a byte turned in the last chunk of a log that was closed", turned(len(at) - 1), true},
		{"a byte turned in the last chunk", turned(len(at) - 1)[:last.end], false},
		{"a later part of the torn batch", append(bytes.Clone(torn), chunk(chunkLast, last.sequence+3)...), false},
		{"a chunk that a stranger has put into an event", append(bytes.Clone(torn), chunk(chunkFull, 1<<40)...), false},
		{"an end that a stranger has put into an event", append(append(bytes.Clone(torn), log[last.end:]...), torn[:9]...), false},
		{"a batch that follows", append(bytes.Clone(torn), chunk(chunkFull, last.sequence+3)...), true},
		{"a larger batch that follows", append(bytes.Clone(torn), chunk(chunkFirst, last.sequence+3)...), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad, witness := tornInside(test.log, number)
			if (witness > 0) != test.witness {
				t.Errorf("got damage at %d, witness at %d, want a witness: %t", bad, witness, test.witness)
			}
		})
	}
}
