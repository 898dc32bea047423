package salt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A fake Remote: a list, as ClickHouse is one, that can be away.
type fake struct {
	mu   sync.Mutex
	rows []Salt
	away bool
	// beforePut is called when a Put is under way, as another collector is.
	beforePut func()
}

var errAway = errors.New("connection refused")

func (f *fake) List(context.Context) ([]Salt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errAway
	}
	return slices.Clone(f.rows), nil
}

func (f *fake) Put(_ context.Context, s Salt) error {
	if f.beforePut != nil {
		f.beforePut()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	f.rows = append(f.rows, s)
	return nil
}

func (f *fake) Delete(_ context.Context, due []Salt) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return errAway
	}
	f.rows = slices.DeleteFunc(f.rows, func(s Salt) bool {
		return slices.ContainsFunc(due, func(d Salt) bool { return d.Site == s.Site && d.Day == s.Day && d.Secret == s.Secret })
	})
	return nil
}

func join(t *testing.T, c *clock, f *fake) (*Book, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := Open(dir, c.now, f)
	if err != nil {
		t.Fatal(err)
	}
	return b, dir
}

func TestCollectorsAgree(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{}
	one, _ := join(t, c, f)
	two, _ := join(t, c, f)
	if salt(t, one, "news.example", day("2026-10-02")) != salt(t, two, "news.example", day("2026-10-02")) {
		t.Error("two salts for one day")
	}
	if len(f.rows) != 1 {
		t.Errorf("%d rows, want 1", len(f.rows))
	}
}

func TestOfSeveralTheSmallestWins(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{}
	d := day("2026-10-02")
	small := Salt{Site: "news.example", Day: d, Made: c.now(), Secret: [32]byte{0: 0, 31: 1}}
	f.beforePut = func() { // between this collector's List and Put
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rows = append(f.rows, small)
	}
	b, _ := join(t, c, f)
	if got := salt(t, b, "news.example", d); got != small.Secret {
		t.Errorf("got %x, want the smallest", got[:4])
	}
}

func TestWithoutTheRemoteACollectorMakesItsOwnAndGivesItLater(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{away: true}
	d := day("2026-10-02")
	one, dir := join(t, c, f)
	own := salt(t, one, "news.example", d)
	if one.Unshared() != 1 {
		t.Errorf("Unshared = %d, want 1", one.Unshared())
	}
	if one.Sweep() == nil {
		t.Error("Sweep does not say that the remote is away")
	}
	f.away = false
	sweep(t, one)
	if one.Unshared() != 0 {
		t.Errorf("Unshared = %d after Sweep, want 0", one.Unshared())
	}
	two, _ := join(t, c, f)
	if salt(t, two, "news.example", d) != own || !holds(t, dir, own) {
		t.Error("the other collector has another salt")
	}
}

func TestTwoThatMadeTheirOwnAgreeAfterASweep(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{away: true}
	d := day("2026-10-02")
	one, _ := join(t, c, f)
	two, dir := join(t, c, f)
	a, b := salt(t, one, "news.example", d), salt(t, two, "news.example", d)
	f.away = false
	for _, book := range []*Book{one, two, one, two} {
		sweep(t, book)
	}
	want := a
	if slices.Compare(b[:], a[:]) < 0 {
		want = b
	}
	if salt(t, one, "news.example", d) != want || salt(t, two, "news.example", d) != want {
		t.Error("not the smallest everywhere")
	}
	restarted, err := Open(dir, c.now, f)
	if err != nil {
		t.Fatal(err)
	}
	if salt(t, restarted, "news.example", d) != want {
		t.Error("another one after a restart")
	}
}

func TestAfterTwoDaysTheSaltIsGoneEverywhere(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{}
	d := day("2026-10-02")
	one, dirOne := join(t, c, f)
	two, dirTwo := join(t, c, f)
	old := salt(t, one, "news.example", d)
	salt(t, two, "news.example", d)
	c.set("2026-10-04 00:00:00")
	sweep(t, one)
	sweep(t, two)
	for _, s := range f.rows {
		if s.Secret == old {
			t.Error("still at the remote")
		}
	}
	if holds(t, dirOne, old) || holds(t, dirTwo, old) {
		t.Error("still in a folder")
	}
	if salt(t, two, "news.example", d) == old {
		t.Error("used again")
	}
}

func TestADamagedCopyIsFetchedAgain(t *testing.T) {
	c, f := at("2026-10-02 12:00:00"), &fake{}
	d := day("2026-10-02")
	b, dir := join(t, c, f)
	want := salt(t, b, "news.example", d)
	if err := os.WriteFile(filepath.Join(dir, "2026-10-02.salts"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir, c.now, f)
	if err != nil {
		t.Fatal(err)
	}
	if salt(t, b, "news.example", d) != want {
		t.Error("not the one of the remote")
	}
}

// deaf is a Remote that takes a question and gives no answer, as a server that
// is stopped.
type deaf struct{ asked int }

func (d *deaf) List(ctx context.Context) ([]Salt, error) {
	d.asked++
	<-ctx.Done()
	return nil, ctx.Err()
}

func (d *deaf) Put(ctx context.Context, _ Salt) error      { return ctx.Err() }
func (d *deaf) Delete(ctx context.Context, _ []Salt) error { return ctx.Err() }

// A beacon waits for it half a second at most, and the next ones not at all.
func TestNoBeaconWaitsForARemoteThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		remote := &deaf{}
		b, err := Open(t.TempDir(), time.Now, remote)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(site string) time.Duration {
			began := time.Now()
			if _, err := b.For(site, dayOf(began)); err != nil {
				t.Fatal(err)
			}
			return time.Since(began)
		}
		if took := ask("a.example"); took != 0 || remote.asked != 1 {
			t.Errorf("just after it was silent: %v, asked %d times", took, remote.asked)
		}
		time.Sleep(pause)
		if took := ask("b.example"); took != patience || remote.asked != 2 {
			t.Errorf("after the pause: %v, asked %d times", took, remote.asked)
		}
		if took := ask("c.example"); took != 0 {
			t.Errorf("the next site waited %v", took)
		}
		if b.Unshared() != 3 {
			t.Errorf("%d salts are to be shared later, want 3", b.Unshared())
		}
	})
}
