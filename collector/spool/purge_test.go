package spool

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/event"
)

// onDisk says which files of a directory hold a text.
func onDisk(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
			return nil // gone meanwhile, or a hole
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What was released and purged is in no file: neither in a log, nor in a log
// that is kept to be written over, nor in a table. Nobody has to come for it.
func TestPurgedEventsAreInNoFile(t *testing.T) {
	for _, logs := range []int{1, 3} { // some of them ended before the purge
		t.Run(fmt.Sprint(logs, " logs"), func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(Options{Dir: dir, Version: "test", Reserve: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			const name = "visitor-to-be-forgotten"
			for range logs {
				for range 20 {
					if err := s.Append(t.Context(), []*event.Event{{Site: "news.example", Visitor: name, Received: 1}}); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Append(t.Context(), []*event.Event{{Site: "news.example", Visitor: name, Received: 1}}); err != nil {
				t.Fatal(err)
			}
			if len(onDisk(t, dir, name)) == 0 {
				t.Fatal("the name is in no file before: this test looks in the wrong place")
			}
			b, err := s.Next(t.Context(), 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Done(b); err != nil {
				t.Fatal(err)
			}
			if err := s.Release(b.To); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := s.Purge(ctx); err != nil {
				t.Fatal(err)
			}
			// Pebble deletes files behind the caller's back, soon after.
			var left []string
			for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if left = onDisk(t, dir, name); len(left) == 0 {
					break
				}
			}
			if len(left) > 0 {
				t.Errorf("still in %v", left)
			}
			if _, err := s.db.Metrics(), s.Append(t.Context(), []*event.Event{{Site: "news.example", Received: 2}}); err != nil {
				t.Errorf("append after it: %v", err)
			}
		})
	}
}
