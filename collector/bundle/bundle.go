// Package bundle finds the files that ship with the binary: the ClickHouse
// engine (libchdb.so) and the country database (country.mmdb).
//
// They are looked for beside the binary, in ../lib/passalong and in
// /usr/lib/passalong, in that order. Symbolic links to the binary are followed,
// so that a link in /usr/local/bin finds what lies beside the real file.
// The package never downloads anything; `make build` puts the files there from
// the npm packages pinned in package-lock.json beside this file.
package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files.
const (
	Engine  = "libchdb.so"
	Country = "country.mmdb"
)

// Dirs lists the folders in which Find looks, in order.
func Dirs() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		dirs = append(dirs, dir, filepath.Join(dir, "..", "lib", "passalong"))
	}
	return append(dirs, "/usr/lib/passalong")
}

// Find returns the path of a bundled file. Its error names the folders tried.
func Find(name string) (string, error) {
	dirs := Dirs()
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not in %s; `make build` puts it beside the binary", name, strings.Join(dirs, ", "))
}
