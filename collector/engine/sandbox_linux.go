package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Landlock, in Linux since 5.13, takes the rest of the file system away from
// the child. The reason is one function: in a local ClickHouse `SELECT
// file('/any/path')` asks for no right and reads whatever the process can
// (FunctionFile.cpp: "If run in Local mode, no need for path checking"; tried
// with 26.7 as a user with no right but one). The secrets of the collector lie
// beside the engine's directory and belong to the same user.
//
// What stays readable through that function is the engine's own data.

const (
	readRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV // those that mean something for a file
)

// readable is what ClickHouse looks at besides its own: the processor, memory,
// the limits of its control group, names and time zones. Not the whole of
// /proc, where the command lines of others stand. Missing ones are skipped.
var readable = []string{
	"/proc/self", "/proc/sys", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/loadavg",
	"/proc/uptime", "/proc/version", "/proc/filesystems", "/proc/diskstats", "/proc/vmstat", "/proc/pressure",
	"/sys/devices/system", "/sys/fs/cgroup", "/sys/block", "/sys/kernel/mm",
	"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
	"/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo",
	"/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
}

// sandboxVersion is the version of Landlock that the kernel offers, 0 for none.
func sandboxVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// sandbox leaves the calling thread, and every thread it will start, only the
// engine's directory and what every process needs. Without Landlock it does
// nothing; Start says so in the log.
func sandbox(library, dir string) error {
	version := sandboxVersion()
	if version == 0 {
		return nil
	}
	// All rights of the first version; each later one brought one more. A right
	// that is not named here is not taken away.
	all := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1)
	if version >= 2 {
		all |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		all |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: all}
	rules, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("create: %w", errno)
	}
	defer func() { _ = unix.Close(int(rules)) }()

	allow := func(path string, rights uint64) error {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil // what cannot be opened needs no leave
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer func() { _ = unix.Close(fd) }()
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			rights &= fileRights
		}
		rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & all, Parent_fd: int32(fd)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("%s: %w", path, errno)
		}
		return nil
	}
	libraries, err := loadedFrom()
	if err != nil {
		return err
	}
	for _, path := range append(append(libraries, library), readable...) {
		if err := allow(path, readRights); err != nil {
			return err
		}
	}
	if err := allow("/dev/null", readRights|unix.LANDLOCK_ACCESS_FS_WRITE_FILE); err != nil {
		return err
	}
	if err := allow(dir, all&^unix.LANDLOCK_ACCESS_FS_EXECUTE); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0); errno != 0 {
		return fmt.Errorf("restrict: %w", errno)
	}
	return nil
}

// loadedFrom lists the directories of the shared objects that this process has
// loaded. What ClickHouse's library needs of glibc lies in the same.
func loadedFrom() ([]string, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	seen := map[string]bool{}
	var dirs []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		at := strings.IndexByte(lines.Text(), '/')
		if at < 0 || !strings.Contains(filepath.Base(lines.Text()[at:]), ".so") {
			continue
		}
		if dir := filepath.Dir(lines.Text()[at:]); !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
