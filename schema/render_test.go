package schema

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

// The form for a cluster is reviewed as text: there is none in the tests.
func TestClusterForm(t *testing.T) {
	r, err := newRenderer("main")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range append(names, "views/10_nodes.sql") {
		text, err := r.file(name)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("-- " + name + "\n" + text + "\n")
	}
	const golden = "testdata/cluster.sql"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Error("the cluster form differs from testdata/cluster.sql; look at the change and run with -update")
	}
}

func TestEveryObjectIsMadeOnTheCluster(t *testing.T) {
	r, err := newRenderer("main")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := r.file(name)
		if err != nil {
			t.Fatal(err)
		}
		made := strings.Count(strings.ToLower(text), "create ") + strings.Count(text, "ALTER TABLE ")
		if on := strings.Count(text, "ON CLUSTER `main`"); made == 0 || on != made {
			t.Errorf("%s makes %d objects, %d of them on the cluster", name, made, on)
		}
		if strings.Contains(text, "{{") {
			t.Errorf("%s is not rendered whole", name)
		}
	}
}

func TestClusterNameIsAName(t *testing.T) {
	if _, err := newRenderer("main` SYNC; DROP"); err == nil {
		t.Error("a cluster's name with a quote was taken")
	}
}

// goose reads files, not this package's functions.
func TestRenderedFilesReadAsFiles(t *testing.T) {
	r, err := newRenderer("")
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.fs().Open("migrations/0002_events.sql")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text, err := fs.ReadFile(r.fs(), "migrations/0002_events.sql")
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != info.Size() || strings.Contains(string(text), "{{") {
		t.Errorf("%d bytes of %d, or not rendered", len(text), info.Size())
	}
}
