//go:build !linux

package engine

// Only Linux has Landlock; see sandbox_linux.go for what is missing without it.

func sandboxVersion() int { return 0 }

func sandbox(library, dir string) error { return nil }
