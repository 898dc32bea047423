package torture

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk of 64 MB is filled by somebody else and freed, again and again, with
// the spool on it or the whole data directory. While it is full the answer is
// 503, and what was answered 204 before is not lost; when there is space again,
// beacons are taken again, without a start. Some rounds kill the collector on the
// full disk.
func TestSmallDiskFilledAndFreed(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"spool", "data directory"} {
		t.Run(strings.ReplaceAll(what, " ", "-"), func(t *testing.T) {
			if what == "data directory" && depth(t) == quick {
				t.Skip("only with TORTURE=short")
			}
			n := seed(t)
			r := chance(n, 5)
			w := newWorld(t, n)
			place := w.setup.dir
			if what == "spool" {
				place = filepath.Join(place, "spool")
			}
			disk := mount(t, place, 64<<20)
			c := w.serve()
			for round := range at(t, 3, 20, 200) {
				w.send(50, 4)
				before := w.ledger.count(http.StatusServiceUnavailable)
				left := int64(r.IntN(3)) * 256 << 10
				disk.fill(left)
				for end := time.Now().Add(patience); w.ledger.count(http.StatusServiceUnavailable) == before; {
					disk.fill(left) // again: the engine gives some of its own back
					if w.send(20, 4); time.Now().After(end) {
						t.Fatalf("round %d: beacons are taken on a disk with %d bytes left\n%s", round, left, c.log.tail(30))
					}
				}
				if code, body, err := c.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "full") {
					t.Errorf("round %d: on a full disk /readyz says %d %s %v", round, code, body, err)
				}
				if c.figures()["passalong_spool_full"] != 1 {
					t.Errorf("round %d: /metrics does not say that the spool is full", round)
				}
				if depth(t) > quick && r.IntN(4) == 0 {
					c.kill()
					disk.free()
					c = w.serve()
				}
				disk.free()
				taken := w.ledger.count(http.StatusNoContent)
				c.until("beacons are taken when there is space again", func() bool {
					w.send(10, 2)
					return w.ledger.count(http.StatusNoContent) > taken+20
				})
			}
			w.check()
			t.Logf("503: %d", w.ledger.count(http.StatusServiceUnavailable))
			c.stop()
		})
	}
}

// A disk is a file system of its own, in memory.
type disk struct {
	testing.TB
	hog string // a file that fills it
}

// mount makes one at a path.
func mount(t testing.TB, path string, size int64) *disk {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=0700,size="+strconv.FormatInt(size, 10))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("SKIPPED: a small disk cannot be mounted here (%v): run as root", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &disk{t, filepath.Join(path, "somebody-elses-file")}
}

// fill leaves so many bytes of it.
func (d *disk) fill(left int64) {
	d.Helper()
	f, err := os.OpenFile(d.hog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.Fatal(err)
	}
	defer f.Close()
	for {
		var now syscall.Statfs_t
		if err := syscall.Statfs(d.hog, &now); err != nil {
			d.Fatal(err)
		}
		room := int64(now.Bavail)*int64(now.Bsize) - left
		if room < int64(now.Bsize) {
			return
		}
		if _, err := f.Write(make([]byte, min(room, 1<<20))); err != nil && !errors.Is(err, syscall.ENOSPC) {
			d.Fatal(err)
		}
	}
}

func (d *disk) free() {
	d.Helper()
	if err := os.Remove(d.hog); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.Fatal(err)
	}
}
