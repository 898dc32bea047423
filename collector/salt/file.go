package salt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A day's salts are one file, 2026-11-24.salts, mode 0600:
//
//	passalong salts 1
//	1795478400 3f…64 hex digits…a0 news.example
//	1795478400 90…64 hex digits…1c shop.example
//	sum 5d…64 hex digits…77
//
// Each line has when the salt was made (Unix seconds), the secret and the site;
// lines are sorted by site. The sum is SHA-256 of all that stands above it.
//
// A change writes a new file beside it, syncs it, renames it over the old one
// and syncs the folder: a crash leaves the one or the other. So a file that does
// not add up is a damaged disk or somebody's hand, never a crash.
const (
	header = "passalong salts 1"
	ending = ".salts"
	draft  = ".draft-" // a file that a crash kept from being renamed
)

func name(day int32) string { return date(day) + ending }

// readDir reads all files. One that is damaged is an error, or, where the
// Remote has its salts, is removed.
func readDir(dir string, remote bool) (days, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := days{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), draft) {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		at, ours := strings.CutSuffix(e.Name(), ending)
		if !ours {
			continue
		}
		noon, err := time.Parse(time.DateOnly, at)
		if err != nil {
			return nil, fmt.Errorf("%s: its name is no date", path)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		day := dayOf(noon)
		sites, err := decode(day, raw)
		if errors.Is(err, errDamaged) && remote {
			if err := remove(dir, day); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w; put the file back from a copy, or remove it: readers of that day who come again are then counted as new", path, err)
		}
		all[day] = sites
	}
	return all, nil
}

func encode(sites map[string]kept) []byte {
	var b strings.Builder
	b.WriteString(header + "\n")
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		k := sites[site]
		fmt.Fprintf(&b, "%d %x %s\n", k.Made.Unix(), k.Secret, site)
	}
	fmt.Fprintf(&b, "sum %x\n", sha256.Sum256([]byte(b.String())))
	return []byte(b.String())
}

var errDamaged = errors.New("damaged")

func decode(day int32, raw []byte) (map[string]kept, error) {
	text := string(raw)
	first, _, _ := strings.Cut(text, "\n")
	if version, ok := strings.CutPrefix(first, "passalong salts "); ok && first != header && strings.Trim(version, "0123456789") == "" {
		return nil, fmt.Errorf("written by a newer version (form %s)", version)
	}
	at := strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n") + 1
	if first != header || text[at:] != fmt.Sprintf("sum %x\n", sha256.Sum256(raw[:at])) {
		return nil, errDamaged
	}
	sites := map[string]kept{}
	for _, line := range strings.Split(strings.TrimSuffix(text[:at], "\n"), "\n")[1:] {
		made, rest, _ := strings.Cut(line, " ")
		secret, site, _ := strings.Cut(rest, " ")
		seconds, err := strconv.ParseInt(made, 10, 64)
		bytes, hexErr := hex.DecodeString(secret)
		if err != nil || hexErr != nil || len(bytes) != 32 || site == "" || len(site) > maxSite {
			return nil, errDamaged
		}
		sites[site] = keep(Salt{Site: site, Day: day, Made: time.Unix(seconds, 0), Secret: [32]byte(bytes)}, false)
	}
	return sites, nil
}

// write replaces the file of a day.
func write(dir string, day int32, sites map[string]kept) (err error) {
	f, err := os.CreateTemp(dir, draft+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(encode(sites)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name(day))); err != nil {
		return err
	}
	return syncDir(dir)
}

func remove(dir string, day int32) error {
	if err := os.Remove(filepath.Join(dir, name(day))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
