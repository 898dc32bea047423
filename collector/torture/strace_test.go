package torture

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A call is a system call at its entry. It has done nothing yet, and waits.
type call struct {
	thread int
	name   string
	path   string // what its descriptor is, or its first path
}

func (c call) String() string { return fmt.Sprintf("%s(%s)", c.name, c.path) }

// A tracer holds some system calls of a process at their entry, each for a
// moment, and tells of them. Whoever sends SIGKILL within that moment has
// killed the process before the call.
//
// strace can send the signal itself, at the n-th call, but counts for each
// thread alone; a goroutine's calls are made by whichever thread has it.
type tracer struct {
	testing.TB
	cmd   *exec.Cmd
	each  func(call)
	ended chan struct{}
}

// hold is how long a call waits, and so how soon the test must have heard of it
// and killed. A busy machine may need longer; then the call has been made, and
// the process is killed a little later, which is as good a place.
const hold = 10 * time.Millisecond

// trace follows all threads of a process that runs. What it starts later is
// followed too. each is called for every call of these names, one after the
// other, by a goroutine of the tracer.
func trace(t testing.TB, pid int, names []string, each func(call)) *tracer {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: apt-get install strace")
	}
	set := strings.Join(names, ",")
	tr := &tracer{TB: t, each: each, ended: make(chan struct{})}
	tr.cmd = exec.Command("strace", "-f", "-yy", "-s", "0", "-p", strconv.Itoa(pid), "-e", "signal=none",
		"-e", "trace="+set, "-e", fmt.Sprintf("inject=%s:delay_enter=%d", set, hold.Microseconds()))
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := tr.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan string, 1)
	go func() {
		defer close(tr.ended)
		var line []byte // the last one, which may have no end yet
		told := false   // of the call on it
		buf := make([]byte, 64<<10)
		for {
			n, err := out.Read(buf)
			for _, part := range bytes.SplitAfter(buf[:n], []byte("\n")) {
				line = append(line, part...)
				if c, ok := entered(line); ok && !told {
					told = true
					each(c)
				}
				if !bytes.HasSuffix(line, []byte("\n")) {
					continue
				}
				if bytes.Contains(line, []byte("strace: ")) {
					select {
					case attached <- string(line):
					default:
					}
				}
				line, told = line[:0], false
			}
			if err != nil {
				close(attached)
				_ = tr.cmd.Wait() // it ends as its process did
				return
			}
		}
	}()
	t.Cleanup(tr.detach)
	switch said := <-attached; {
	case strings.Contains(said, "attached"):
	case strings.Contains(said, "not permitted"):
		t.Skipf("SKIPPED: ptrace is not permitted here, so nothing can be killed at a system call: %s", said)
	default:
		t.Fatalf("strace: %q", said)
	}
	return tr
}

// detach lets the process go on alone. The kernel does that when a tracer ends;
// strace itself, asked to end in order, waits for ever for a thread that was
// killed meanwhile.
func (tr *tracer) detach() {
	_ = tr.cmd.Process.Kill() // it ends with its process, and may be gone
	<-tr.ended
}

// A call on a descriptor, and one on a path; both with the thread before it.
var (
	onDescriptor = regexp.MustCompile(`^\[pid +(\d+)\] (\w+)\(\d+<((?:TCP|UNIX|NETLINK)[^\]]*\]|[^>]*)>`)
	onPath       = regexp.MustCompile(`^\[pid +(\d+)\] ((?:rename|link|unlink|rmdir)\w*)\((?:AT_FDCWD(?:<[^>]*>)?, |\d+<[^>]*>, )?"([^"]*)"`)
)

// entered reads a line of strace's, as far as it has come, as the entry of a call.
func entered(line []byte) (call, bool) {
	m := onPath.FindSubmatch(line)
	if m == nil {
		if m = onDescriptor.FindSubmatch(line); m == nil {
			return call{}, false
		}
		if strings.Contains(string(m[2]), "link") || strings.HasPrefix(string(m[2]), "rename") {
			return call{}, false // it takes a directory and a path, and the path is yet to come
		}
	}
	thread, _ := strconv.Atoi(string(m[1]))
	return call{thread, string(m[2]), string(m[3])}, true
}
