package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
		step = 13
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

// A byte turned anywhere: the spool starts. Either it is set aside and said so,
// or everything is there but for the newest groups, behind which there is no
// witness: nothing tells them from a torn tail.
func TestAByteTurnedAnywhereIsFoundOrHarmless(t *testing.T) {
	dir, held := disk(t, 8)
	seed := uint64(1)
	rng := rand.New(rand.NewPCG(seed, 0))
	turns := 24
	if os.Getenv("TORTURE") != "" {
		turns = 2000
	}
	whole := strings.Join(held, " ")
	files, err := copyToMemory(t, dir).List("/data/spool/" + engineDir)
	must(t, err)
	found, silent := map[string]int{}, map[string]int{}
	for _, file := range files {
		path := "/data/spool/" + engineDir + "/" + file
		for range turns {
			fs := copyToMemory(t, dir)
			b := readRaw(t, fs, path)
			if len(b) == 0 {
				break
			}
			at := rng.IntN(len(b))
			b[at] ^= 1 << rng.IntN(8)
			writeRaw(t, fs, path, b)
			what := fmt.Sprintf("%s: byte %d of %d turned (seed %d)", file, at, len(b), seed)
			s, err := Open(in(fs))
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			kind := strings.TrimLeft(strings.Split(file, "-")[0], "0123456789")
			if len(s.Stats().SetAside) > 0 {
				found[kind]++
			} else if got := names(rest(t, s)); got != whole {
				silent[kind]++
				if least := strings.Join(held[:len(held)-2], " "); !strings.HasPrefix(whole, got) || len(got) < len(least) {
					t.Errorf("%s: holds %s without a word", what, got)
				}
			}
			mustAppend(t, s, "after", 1)
			mustClose(t, s)
		}
	}
	for _, kind := range []string{".log", ".sst"} {
		if found[kind] == 0 {
			t.Errorf("no damage in a %s was found", kind)
		}
	}
	t.Logf("found: %v; taken for a torn tail: %v", found, silent)
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
	chunk := func(sequence, synced uint64) []byte {
		b := make([]byte, chunkHead+12)
		b[4], b[6] = 12, chunkFull
		binary.LittleEndian.PutUint32(b[7:], number)
		binary.LittleEndian.PutUint64(b[11:], synced)
		binary.LittleEndian.PutUint64(b[chunkHead:], sequence)
		sum := crc32.Checksum(b[6:], castagnoli)
		binary.LittleEndian.PutUint32(b, (sum>>15|sum<<17)+0xa282ead8)
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
		{"a byte turned in the last chunk", turned(len(at) - 1), false},
		{"a chunk behind the torn one that was written before it was synced", append(bytes.Clone(torn), chunk(last.sequence+3, 10)...), false},
		{"a chunk that a stranger has put into an event", append(bytes.Clone(torn), chunk(1<<40, uint64(len(log)))...), false},
		{"a chunk that follows and was written later", append(bytes.Clone(torn), chunk(last.sequence+3, uint64(len(log)))...), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bad, witness := tornInside(test.log, number)
			if (witness > 0) != test.witness {
				t.Errorf("got damage at %d, witness at %d, want a witness: %t", bad, witness, test.witness)
			}
		})
	}
}
