//go:build linux

package yardstick

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat: USER_HZ is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// processor is the time that a process has had.
func processor(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // a process that is gone has had none
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	return time.Duration(number(fields[11])+number(fields[12])) * tick
}

// busy is the time that all processors together have worked, for whomever.
func busy() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	var sum int
	for i, f := range strings.Fields(line) {
		if i > 0 && i != 4 && i != 5 && i < 9 { // not idle, not waiting for a disk; guests are counted twice
			sum += number(f)
		}
	}
	return time.Duration(sum) * tick
}

// descendants are the processes below one.
func descendants(pid int) []int {
	var all []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, child := range strings.Fields(string(text)) {
			all = append(append(all, number(child)), descendants(number(child))...)
		}
	}
	return all
}

// resident is what a process has in memory now and had at most, in bytes. Of
// both, pages of files that are mapped are a part.
func resident(pid int) (now, peak int) {
	return status(pid, "VmRSS:"), status(pid, "VmHWM:")
}

func status(pid int, name string) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return number(strings.Fields(rest)[0]) << 10
		}
	}
	return 0
}

func descriptors(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the kernel writes numbers
	return n
}
