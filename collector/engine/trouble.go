package engine

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/cpu"
)

var (
	// errLocked: another process has the data open, be it for a moment.
	errLocked = errors.New("the data is open in another process")

	// Two failures that pass by themselves, or by somebody's hand from outside.
	errFull   = errors.New("the disk is full: make room in the data directory")
	errKilled = errors.New("killed, perhaps because the machine has too little memory")
)

// Supported says why this machine cannot run the engine, or nil.
func Supported() error {
	switch runtime.GOOS + "/" + runtime.GOARCH {
	case "linux/amd64":
		if !cpu.X86.HasAVX2 {
			return errors.New("engine: this processor has no AVX2, which ClickHouse's library needs; set `clickhouse` to use a server instead")
		}
	case "linux/arm64", "darwin/amd64", "darwin/arm64":
	default:
		return fmt.Errorf("engine: there is no ClickHouse library for %s/%s; set `clickhouse` to use a server instead", runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// troubles are the failures of a start that an operator can do something
// about. The first that matches is told.
var troubles = []struct {
	sign, remedy string
	is           error
}{
	{`Cannot lock file`, "", errLocked},
	{`Code: (243|523)\b|No space left on device|errno: 28\b`, "", errFull},
	{`ended by signal killed`, "", errKilled},
	{`Address already in use|Code: 210\b`, "another program took the port: stop it, or choose another `embedded-tcp` and `embedded-http`", nil},
	{`Permission denied|Operation not permitted|Read-only file system|errno: (1|13|30)\b`, "the data directory must be writable for the user who runs Passalong", nil},
	{`load library:.*(GLIBC|ld-linux|libc\.musl|symbol not found|fcntl64)`, "the library needs glibc: run on Debian or another glibc system, not on Alpine", nil},
	{`load library:`, "the library is damaged or for another kind of machine: `make build` fetches it again", nil},
	{`Code: (241|173)\b|Cannot allocate memory`, "too little memory: raise `embedded-memory`", nil},
	{`Too many open files`, "raise the limit of open files (ulimit -n), 4096 is enough", nil},
}

var (
	troubleSigns = func() (signs []*regexp.Regexp) {
		for _, t := range troubles {
			signs = append(signs, regexp.MustCompile(t.sign))
		}
		return signs
	}()
	// What ClickHouse repeats around its own message.
	noise = regexp.MustCompile(`DB::\w*Exception: |\(version [^)]*\)|\(official build\)`)
)

// explain makes an error of what a child said before it ended.
func explain(said string, ended error) error {
	said = strings.TrimSpace(noise.ReplaceAllString(said, ""))
	var exit *exec.ExitError
	if errors.As(ended, &exit) {
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			if w.Signal() == syscall.SIGILL {
				return errors.New("illegal instruction: this processor lacks one that ClickHouse's library needs (AVX2); set `clickhouse` to use a server instead")
			}
			said = strings.TrimSpace(fmt.Sprintf("ended by signal %v; %s", w.Signal(), said))
		}
	}
	if said == "" {
		said = fmt.Sprintf("ended without a word (%v)", ended)
	}
	for i, t := range troubles {
		switch {
		case !troubleSigns[i].MatchString(said):
			continue
		case t.is != nil:
			return fmt.Errorf("%w: %s", t.is, said)
		default:
			return fmt.Errorf("%s; %s", said, t.remedy)
		}
	}
	return errors.New(said)
}
