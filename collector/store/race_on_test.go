//go:build race

package store_test

// The race detector takes many times the memory.
const raceDetector = true
