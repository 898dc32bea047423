package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// versionFile names the newest ClickHouse that had the data open, and the
// library it came from, so that the common start need not ask it.
const versionFile = "version"

// Version asks a library for its version; it takes about 0.2 s.
func Version(ctx context.Context, library string) (string, error) {
	var out bytes.Buffer
	if err := Local(ctx, library, strings.NewReader(""), &out, "SELECT version()", "TSVRaw"); err != nil {
		return "", fmt.Errorf("engine version: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

// checkVersion refuses data that a newer ClickHouse wrote: an older one may
// misread it, and the first merge would make that final. It must be asked
// before the data is opened, hence a run of its own when the library changed.
func checkVersion(ctx context.Context, library, dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, versionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("engine directory: %w", err)
	}
	wrote, from, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	id, err := libraryID(library)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if from == id {
		return nil
	}
	have, err := Version(ctx, library)
	if err != nil {
		return err
	}
	if newer(wrote, have) {
		return fmt.Errorf("engine: the data in %s was written by ClickHouse %s, the library %s is %s: use the newer one again, or restore a backup", dir, wrote, library, have)
	}
	// Noted before the data is opened: a crash in between must not hide it.
	return recordVersion(library, dir, have)
}

func recordVersion(library, dir, version string) error {
	id, err := libraryID(library)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, versionFile)
	want := []byte(version + "\n" + id + "\n")
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	if err := os.WriteFile(path+".new", want, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// libraryID changes with the library; hashing half a gigabyte at each start
// would take longer than the start.
func libraryID(library string) (string, error) {
	info, err := os.Stat(library)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().Unix()), nil
}

// newer reports whether the data format of a may be newer than b's: releases
// are year.month, and data stays readable within one.
func newer(a, b string) bool {
	pa, pb := strings.SplitN(a, ".", 3), strings.SplitN(b, ".", 3)
	for i := range min(2, len(pa), len(pb)) {
		na, _ := strconv.Atoi(pa[i])
		nb, _ := strconv.Atoi(pb[i])
		if na != nb {
			return na > nb
		}
	}
	return false
}
