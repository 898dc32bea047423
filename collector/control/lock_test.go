package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLockIsLetGo(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		release, err := Lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		var locked *LockedError
		if _, err := Lock(dir); !errors.As(err, &locked) || locked.PID != os.Getpid() {
			t.Errorf("twice: %v", err)
		}
		release()
	}
	if _, err := Lock(filepath.Join(dir, "nothing")); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestLockedErrorWithoutANumber(t *testing.T) {
	for text, want := range map[string]int{"": 0, "17\n": 17, "x": 0, "-3": 0, strings.Repeat("9", 40): 0} {
		f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if got := holder(f); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
		_ = f.Close()
	}
	if got := (&LockedError{Dir: "data"}).Error(); !strings.Contains(got, "in use by another process;") {
		t.Error(got)
	}
}
