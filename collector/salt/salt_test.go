package salt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A clock stands until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func at(t string) *clock {
	v, err := time.Parse(time.DateTime, t)
	if err != nil {
		panic(err)
	}
	return &clock{t: v}
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = at(t).t
}

func day(s string) int32 { return dayOf(at(s + " 00:00:00").t) }

func open(t testing.TB, dir string, c *clock) *Book {
	t.Helper()
	b, err := Open(dir, c.now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func salt(t testing.TB, b *Book, site string, day int32) [32]byte {
	t.Helper()
	s, err := b.For(site, day)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sweep(t testing.TB, b *Book) {
	t.Helper()
	if err := b.Sweep(); err != nil {
		t.Fatal(err)
	}
}

// holds reports whether any file in dir has the secret in it.
func holds(t testing.TB, dir string, secret [32]byte) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, fmt.Appendf(nil, "%x", secret)) || bytes.Contains(raw, secret[:]) {
			return true
		}
	}
	return false
}

func TestDue(t *testing.T) {
	for _, c := range []struct{ name, day, made, due string }{
		{"made ahead", "2026-10-02", "2026-10-01 09:00:00", "2026-10-04 00:00:00"},
		{"made as the day began", "2026-10-02", "2026-10-02 00:00:00", "2026-10-04 00:00:00"},
		{"made in the day's last second", "2026-10-02", "2026-10-02 23:59:59", "2026-10-04 00:00:00"},
		{"made when the day was over", "2026-10-02", "2026-10-03 00:00:00", "2026-10-05 00:00:00"},
		{"made by an import a year later", "2025-10-02", "2026-10-02 12:30:00", "2026-10-04 12:30:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Salt{Day: day(c.day), Made: at(c.made).t}.Due().UTC().Format(time.DateTime)
			if got != c.due {
				t.Errorf("due %s, want %s", got, c.due)
			}
		})
	}
}

func TestSaltsDifferBySiteAndDay(t *testing.T) {
	b := open(t, t.TempDir(), at("2026-10-02 12:00:00"))
	seen := map[[32]byte]bool{}
	for _, site := range []string{"news.example", "shop.example"} {
		for d := day("2026-10-01"); d <= day("2026-10-03"); d++ {
			s := salt(t, b, site, d)
			if seen[s] || s == [32]byte{} {
				t.Errorf("%s, %s: a secret twice, or none", site, date(d))
			}
			seen[s] = true
			if salt(t, b, site, d) != s {
				t.Errorf("%s, %s: not the same on second use", site, date(d))
			}
		}
	}
}

func TestAfterTwoDaysTheSaltIsGoneFromDiskAndMemory(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	d := day("2026-10-02")
	old := salt(t, b, "news.example", d)

	c.set("2026-10-03 23:59:59")
	sweep(t, b)
	if salt(t, b, "news.example", d) != old || !holds(t, dir, old) {
		t.Fatal("deleted too early")
	}
	c.set("2026-10-04 00:00:00")
	sweep(t, b)
	if holds(t, dir, old) {
		t.Error("still on disk")
	}
	if _, ok := (*b.days.Load())[d]; ok {
		t.Error("still in memory")
	}
	// Whoever asks for that day again gets another secret: what was hashed
	// under the old one cannot be computed any more.
	if salt(t, b, "news.example", d) == old {
		t.Error("made again")
	}
}

func TestASaltThatIsDueIsNotUsedWhenSweepIsLate(t *testing.T) {
	c := at("2026-10-02 12:00:00")
	b := open(t, t.TempDir(), c)
	old := salt(t, b, "news.example", day("2026-10-02"))
	c.set("2026-10-04 00:00:00")
	if salt(t, b, "news.example", day("2026-10-02")) == old {
		t.Error("used after its time")
	}
}

func TestRestartKeeps(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	news, shop := salt(t, b, "news.example", day("2026-10-02")), salt(t, b, "shop.example", day("2026-10-02"))
	c.set("2026-10-03 12:00:00")
	b = open(t, dir, c)
	if salt(t, b, "news.example", day("2026-10-02")) != news || salt(t, b, "shop.example", day("2026-10-02")) != shop {
		t.Error("not the same after a restart")
	}
}

func TestDueWhileTheCollectorWasOff(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	old := salt(t, open(t, dir, c), "news.example", day("2026-10-02"))
	c.set("2026-10-20 12:00:00")
	open(t, dir, c)
	if holds(t, dir, old) {
		t.Error("still on disk after Open")
	}
}

func TestTomorrowsSaltIsMadeADayAhead(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	salt(t, b, "news.example", day("2026-10-02"))
	sweep(t, b)
	made, ok := (*b.days.Load())[day("2026-10-03")]["news.example"]
	if !ok {
		t.Fatal("no salt for tomorrow")
	}
	c.set("2026-10-03 00:00:01")
	if salt(t, open(t, dir, c), "news.example", day("2026-10-03")) != made.Secret {
		t.Error("not the one made ahead")
	}
}

func TestImportOfPastDays(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	past := day("2025-06-01")
	first := salt(t, b, "news.example", past)

	c.set("2026-10-03 20:00:00")
	sweep(t, b)
	b = open(t, dir, c) // interrupted
	if salt(t, b, "news.example", past) != first {
		t.Error("a second import meets another salt")
	}
	c.set("2026-10-04 11:59:59")
	sweep(t, b)
	if salt(t, b, "news.example", past) != first {
		t.Error("gone before 48 hours")
	}
	c.set("2026-10-04 12:00:00")
	sweep(t, b)
	if holds(t, dir, first) || salt(t, b, "news.example", past) == first {
		t.Error("there after 48 hours")
	}
}

func TestAnotherSiteOfAPastDayLivesByItsOwnClock(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	past := day("2025-06-01")
	news := salt(t, b, "news.example", past)
	c.set("2026-10-03 12:00:00")
	shop := salt(t, b, "shop.example", past)
	c.set("2026-10-04 12:00:00")
	sweep(t, b)
	if holds(t, dir, news) || !holds(t, dir, shop) {
		t.Error("the older is kept or the newer gone")
	}
	if salt(t, open(t, dir, c), "shop.example", past) != shop {
		t.Error("the newer is another after a restart")
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "salts")
	b := open(t, dir, at("2026-10-02 12:00:00"))
	salt(t, b, "news.example", day("2026-10-02"))
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "2026-10-02.salts"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", filepath.Base(path), info.Mode().Perm(), want)
		}
	}
}

// Every way to damage a file: it is told, it is not replaced, and it says what
// to do.
func TestADamagedFileIsReportedAndNotReplaced(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	b := open(t, dir, c)
	salt(t, b, "news.example", day("2026-10-02"))
	salt(t, b, "shop.example", day("2026-10-02"))
	path := filepath.Join(dir, "2026-10-02.salts")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, c.now, nil); err == nil || !strings.Contains(err.Error(), "2026-10-02.salts") || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: error %v", what, err)
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, damaged) {
			t.Errorf("%s: the file was touched", what)
		}
	}
	for n := range whole {
		check(fmt.Sprintf("cut to %d bytes", n), whole[:n])
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		check(fmt.Sprintf("byte %d flipped", n), flipped)
	}
	check("zeros", make([]byte, len(whole)))
	check("written by a newer version", []byte("passalong salts 2\n"))

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, c.now, nil); err != nil {
		t.Errorf("after removing it: %v", err)
	}
}

func TestADraftThatACrashLeftIsRemoved(t *testing.T) {
	dir, c := t.TempDir(), at("2026-10-02 12:00:00")
	left := filepath.Join(dir, draft+"123")
	if err := os.WriteFile(left, []byte("half a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, c)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestASaltThatCannotBeWrittenIsNotUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "salts")
	b := open(t, dir, at("2026-10-02 12:00:00"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := b.For("news.example", day("2026-10-02")); err == nil {
		t.Error("a secret that is on no disk")
	}
}

func TestForRefusesSitesThatBreakALine(t *testing.T) {
	b := open(t, t.TempDir(), at("2026-10-02 12:00:00"))
	for _, site := range []string{"", "a\nb", strings.Repeat("x", 65)} {
		if _, err := b.For(site, 1); err == nil {
			t.Errorf("%q was taken", site)
		}
	}
}

func TestManyAtOnceGetOneSalt(t *testing.T) {
	b := open(t, t.TempDir(), at("2026-10-02 12:00:00"))
	got := make([][32]byte, 32)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i], _ = b.For("news.example", day("2026-10-02"))
			b.Sweep()
		})
	}
	all.Wait()
	for _, s := range got {
		if s != got[0] || s == [32]byte{} {
			t.Fatal("two secrets for one day")
		}
	}
}

// Whatever is asked in whatever order, with restarts in between: the same salt
// until it is due, and never after.
func TestAnyOrder(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		c := at("2026-10-02 12:00:00")
		b, err := Open(dir, c.now, nil)
		if err != nil {
			t.Fatal(err)
		}
		type key struct {
			site string
			day  int32
		}
		want := map[key]Salt{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"for", "for", "wait", "sweep", "restart"}).Draw(t, "do") {
			case "for":
				k := key{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "site"), dayOf(c.now()) + rapid.Int32Range(-4, 1).Draw(t, "day")}
				got, err := b.For(k.site, k.day)
				if err != nil {
					t.Fatal(err)
				}
				had, ok := want[k]
				if live := ok && c.now().Before(had.Due()); live && got != had.Secret {
					t.Fatalf("%v changed", k)
				} else if ok && !live && got == had.Secret {
					t.Fatalf("%v used after its time", k)
				} else if !live {
					made := c.now()
					if held := (*b.days.Load())[k.day][k.site]; held.Secret == got {
						made = held.Made // perhaps by an earlier Sweep
					}
					want[k] = Salt{Site: k.site, Day: k.day, Made: made, Secret: got}
				}
			case "wait":
				c.t = c.t.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "hours")) * time.Hour)
			case "sweep":
				if err := b.Sweep(); err != nil {
					t.Fatal(err)
				}
				for k, s := range want {
					if !c.now().Before(s.Due()) && (*b.days.Load())[k.day][k.site].Secret == s.Secret {
						t.Fatalf("%v kept", k)
					}
				}
			case "restart":
				if b, err = Open(dir, c.now, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(map[string]kept{"news.example": keep(Salt{Site: "news.example", Made: time.Unix(1, 0)}, false)}))
	f.Add([]byte(header + "\n"))
	f.Add([]byte("passalong salts 99\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		sites, err := decode(20000, raw)
		if err == nil && len(sites) > 0 && !bytes.HasPrefix(raw, []byte(header)) {
			t.Error("read without a header")
		}
	})
}

func BenchmarkFor(b *testing.B) {
	book := open(b, b.TempDir(), at("2026-10-02 12:00:00"))
	book.now = time.Now
	d := dayOf(time.Now())
	salt(b, book, "news.example", d)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := book.For("news.example", d); err != nil {
			b.Fatal(err)
		}
	}
}
