package torture

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/passalong/passalong/collector/engine/enginetest"
)

// runCommand runs a command that ends, on a data directory, with the settings
// of its collector.
func runCommand(t testing.TB, s setup, command string, args ...string) (out string, err error) {
	t.Helper()
	country, err := filepath.Abs("../../bin/country.mmdb")
	if err != nil {
		t.Fatal(err)
	}
	if s.binary == "" {
		s.binary = binary(t)
	}
	all := append([]string{command, "--data-dir", s.dir}, s.args...)
	cmd := exec.CommandContext(t.Context(), s.binary, append(all, args...)...)
	cmd.Env = append(append(os.Environ(), "PASSALONG_ENGINE="+enginetest.Library(t), "PASSALONG_GEOIP="+country), s.env...)
	b, err := cmd.CombinedOutput()
	return string(b), err
}
