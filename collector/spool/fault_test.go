package spool

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var (
	faultSeed  = flag.Uint64("fault-seed", 20261124, "which faults of the disk are tried when not all are")
	faultIndex = flag.Int("fault-index", 0, "try only the fault at this write or fsync")
)

// A faulty disk counts its writes and fsyncs and lets some of them fail.
type faulty struct {
	mode  string
	index int // from this one on
	mem   *vfs.MemFS

	mu     sync.Mutex
	count  int
	broken bool
	hit    string        // what was hit first
	fsync  bool          // it was a fsync
	met    chan struct{} // closed then
}

const (
	spaceOnce  = "ENOSPC once"
	spaceUntil = "ENOSPC until there is space"
	spaceFsync = "ENOSPC at every fsync from there on"
	brokenOnce = "EIO once"
	brokenFrom = "EIO from there on"
)

// faultKinds are what changes the disk.
var faultKinds = map[errorfs.OpKind]string{
	errorfs.OpFileSync: "fsync", errorfs.OpFileSyncData: "fsync", errorfs.OpFileSyncTo: "fsync",
	errorfs.OpFileWrite: "write", errorfs.OpFileWriteAt: "write", errorfs.OpCreate: "create", errorfs.OpRemove: "remove",
	errorfs.OpLink: "rename", errorfs.OpRename: "rename", errorfs.OpReuseForWrite: "rename", errorfs.OpMkdirAll: "make",
}

var faultModes = []string{spaceOnce, spaceUntil, spaceFsync, brokenOnce, brokenFrom}

func (f *faulty) String() string { return f.mode }

func (f *faulty) MaybeError(op errorfs.Op) error {
	if faultKinds[op.Kind] == "" {
		return nil
	}
	fsync := faultKinds[op.Kind] == "fsync"
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.mode == spaceFsync && !fsync {
		return nil
	}
	switch {
	case f.count == f.index, f.mode == spaceFsync && f.count > f.index && f.hit == "":
		f.hit, f.fsync = faultKinds[op.Kind]+" "+op.Path, fsync
		f.broken = f.mode != spaceOnce && f.mode != brokenOnce
		if f.mode == spaceUntil && f.index%2 == 1 { // else a quota: the free space does not tell
			f.mem.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 64 << 20})
		}
		close(f.met)
	case !f.broken:
		return nil
	case f.mode == spaceUntil && (fsync || op.Kind == errorfs.OpRemove):
		return nil // what is written can be synced, and what is there be removed
	}
	if f.mode == brokenOnce || f.mode == brokenFrom {
		return syscall.EIO
	}
	return syscall.ENOSPC
}

// seen is what was hit, and how much was written.
func (f *faulty) seen() (hit string, fsync bool, count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit, f.fsync, f.count
}

// over tells whether the fault was met and has passed.
func (f *faulty) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit != "" && !f.broken
}

func (f *faulty) lift() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = false
	f.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 40 << 20, TotalBytes: 64 << 20})
}

// final tells whether the spool may end over what was hit: over any EIO but one
// of a deletion, and over no ENOSPC but one of a fsync that is not a table's.
func (f *faulty) final() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mode != spaceOnce && f.mode != spaceUntil {
		return true
	}
	return f.fsync && !strings.HasSuffix(f.hit, ".sst")
}

// Faults are tried in a process of their own: a spool that fails in the middle
// of a rotation keeps goroutines of Pebble for ever, and a panic there must be
// seen as what it is.
type faultOrder struct {
	Mode    string
	Indexes []int
}

type faultReport struct {
	Index    int
	Hit      string
	Ended    string
	Writes   int
	Problems []string
}

func tryFaults(string) {
	var order faultOrder
	if err := json.Unmarshal([]byte(os.Getenv(childOrder)), &order); err != nil {
		panic(err)
	}
	out := json.NewEncoder(os.Stdout)
	for _, index := range order.Indexes {
		r := lead(order.Mode, index)
		hit, _, count := r.disk.seen() // Pebble may still be at work in the background
		if err := out.Encode(faultReport{index, hit, r.ended, count, r.problems}); err != nil {
			panic(err)
		}
	}
}

func faults(t *testing.T, mode string, indexes []int) (reports []faultReport) {
	t.Helper()
	order, err := json.Marshal(faultOrder{mode, indexes})
	must(t, err)
	c := child(t, "faults", "")
	c.Env = append(c.Env, childOrder+"="+string(order))
	var complaints strings.Builder
	c.Stderr = &complaints
	out, err := c.Output()
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r faultReport
		if decoder.Decode(&r) != nil {
			break
		}
		reports = append(reports, r)
	}
	if err != nil || len(reports) != len(indexes) {
		next := "the end"
		if len(reports) < len(indexes) {
			next = fmt.Sprint("-fault-index ", indexes[len(reports)])
		}
		t.Fatalf("%s: the process ended at %s: %v\n%.4000s", mode, next, err, &complaints)
	}
	return reports
}

// ENOSPC and EIO at each write, fsync, creation, rename and deletion of a spool's
// life: nothing acknowledged is lost, nothing refused is stored; without space
// the same process goes on once there is some, after anything else it ends and
// says so.
func TestNoFaultOfTheDiskLosesAnything(t *testing.T) {
	whole := faults(t, brokenOnce, []int{1 << 30})[0] // a life without a fault
	if len(whole.Problems) > 0 || whole.Hit != "" || whole.Ended != "" {
		t.Fatalf("without a fault: %+v", whole)
	}
	for _, mode := range faultModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			indexes := make([]int, whole.Writes)
			for i := range indexes {
				indexes[i] = i + 1
			}
			if os.Getenv("TORTURE") == "" {
				rng := rand.New(rand.NewPCG(*faultSeed, 0))
				rng.Shuffle(len(indexes), func(i, j int) { indexes[i], indexes[j] = indexes[j], indexes[i] })
				indexes = indexes[:min(len(indexes), 5)]
			}
			if *faultIndex > 0 {
				indexes = []int{*faultIndex}
			}
			hits := map[string]int{}
			ended := 0
			for _, r := range faults(t, mode, indexes) {
				for _, p := range r.Problems {
					t.Errorf("%s at write %d, %s: %s\n(repeat: go test ./collector/spool -run '%s' -fault-index %d)",
						mode, r.Index, r.Hit, p, t.Name(), r.Index)
				}
				verb, path, _ := strings.Cut(r.Hit, " ")
				file := path[strings.LastIndex(path, "/")+1:]
				if at := strings.LastIndex(file, "."); at > 0 && !strings.HasPrefix(file, "marker") {
					file = "*" + file[at:]
				}
				hits[verb+" "+strings.TrimRight(file, "0123456789")]++
				if r.Ended != "" {
					ended++
				}
			}
			t.Logf("%d of %d places (seed %d), %d ended the spool", len(indexes), whole.Writes, *faultSeed, ended)
			for _, hit := range slices.Sorted(maps.Keys(hits)) {
				t.Logf("%4d %s", hits[hit], hit)
			}
		})
	}
}
