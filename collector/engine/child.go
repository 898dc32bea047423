package engine

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/ebitengine/purego"
)

// How a child is told apart: both the variable and the first argument, so that
// neither an inherited environment nor a file of that name starts an engine.
const (
	childVariable = "PASSALONG_ENGINE_CHILD"
	childArgument = "passalong-engine"
)

// What the variable says: a server in its working directory, or one query.
const (
	serveMode = "serve"
	localMode = "local"
)

// Files a child inherits beside its standard streams.
const (
	readyFD = 3 // it writes one line here: once it listens, or once it is done
	aliveFD = 4 // ends when the parent is gone
)

// orphanLimit is how long a child may outlive its parent. The end of standard
// input stops it in order, in about a second; this is for an engine that hangs.
const orphanLimit = 10 * time.Second

// Child must be the first statement of main and of TestMain. In a process that
// Start made it runs ClickHouse and never returns; in any other it does nothing.
func Child() {
	if os.Getenv(childVariable) == "" || len(os.Args) < 3 || os.Args[1] != childArgument {
		return
	}
	// ClickHouse keeps state in thread-local variables, and the sandbox is a
	// thread's: everything below happens on this one.
	runtime.LockOSThread()
	if os.Getenv(childVariable) == serveMode {
		go exitWithParent()
		dir, err := os.Getwd()
		if err == nil {
			err = sandbox(os.Args[2], dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "engine: sandbox:", err)
			os.Exit(1)
		}
	}
	if err := runLibrary(os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// exitWithParent ends the process some time after the parent's end of the
// alive pipe was closed, be it by the kernel.
func exitWithParent() {
	var b [1]byte
	alive := os.NewFile(aliveFD, "alive")
	for {
		if _, err := alive.Read(b[:]); err != nil {
			break
		}
	}
	time.Sleep(orphanLimit)
	fmt.Fprintln(os.Stderr, "engine: still running", orphanLimit, "after its parent: exit")
	os.Exit(1)
}

// runLibrary runs `clickhouse local` with args to its end. Its errors are on
// standard error and nowhere else: there is no exit code, and the result that
// the call returns tells nothing either (tried with 26.7).
func runLibrary(library string, args []string) error {
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("load library: %w", err)
	}
	run, err := purego.Dlsym(handle, "chdb_query_cmdline")
	if err != nil {
		return fmt.Errorf("%s is no ClickHouse library that Passalong can run: %w", library, err)
	}
	argv := make([]*byte, 0, len(args)+2)
	for _, a := range append([]string{"clickhouse-local"}, args...) {
		argv = append(argv, cString(a))
	}
	argv = append(argv, nil)
	purego.SyscallN(run, uintptr(len(argv)-1), uintptr(unsafe.Pointer(&argv[0])))
	runtime.KeepAlive(argv)
	return nil
}

func cString(s string) *byte {
	b := append([]byte(strings.TrimRight(s, "\x00")), 0)
	return &b[0]
}
