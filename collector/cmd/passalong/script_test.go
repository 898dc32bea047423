package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The command line as a user types it. Tokens are written A0TOKEN, B0TOKEN …:
// the n-th token of the minute in which their file was made, and $A0TOKEN in a command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, setting := range bundled(t) {
				name, value, _ := strings.Cut(setting, "=")
				env.Setenv(name, value)
			}
			at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
			for n := byte(0); n < 5; n++ {
				env.Setenv(string([]byte{'A' + n, '0'})+"TOKEN", mint(at, n))
			}
			files, err := filepath.Glob(filepath.Join(env.WorkDir, "*"))
			if err != nil {
				return err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					continue // a folder
				}
				for n := byte(0); n < 5; n++ {
					name := []byte{'A' + n, '0'}
					text = bytes.ReplaceAll(text, append(name, "TOKEN"...), []byte(mint(at, n)))
				}
				if err := os.WriteFile(file, text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
