package snippet_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/andybalholm/brotli"

	"github.com/passalong/passalong/snippet"
)

func TestScriptIsTheBuiltFile(t *testing.T) {
	built, err := os.ReadFile("dist/passalong.js")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snippet.Script(), built) {
		t.Error("the script is not dist/passalong.js")
	}
	if !utf8.Valid(built) || len(built) < 1000 {
		t.Errorf("dist/passalong.js is no built script: %d bytes", len(built))
	}
}

func TestNamesAreOfTheContent(t *testing.T) {
	short := sha256.Sum256(snippet.Script())
	long := sha512.Sum384(snippet.Script())
	for _, c := range []struct{ name, got, want string }{
		{"hash", snippet.Hash(), hex.EncodeToString(short[:])[:16]},
		{"file name", snippet.Name(), "passalong." + snippet.Hash() + ".js"},
		{"etag", snippet.ETag(), `W/"` + snippet.Hash() + `"`},
		{"integrity", snippet.Integrity(), "sha384-" + base64.StdEncoding.EncodeToString(long[:])},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestCompressedFormsUnpackToTheScript(t *testing.T) {
	for _, c := range []struct {
		name   string
		packed []byte
		open   func(io.Reader) (io.Reader, error)
	}{
		{"brotli", snippet.Brotli(), func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }},
		{"gzip", snippet.Gzip(), func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := c.open(bytes.NewReader(c.packed))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, snippet.Script()) {
				t.Errorf("unpacks to %d bytes, the script has %d", len(got), len(snippet.Script()))
			}
			if len(c.packed) >= len(snippet.Script()) {
				t.Errorf("%d bytes packed, %d plain", len(c.packed), len(snippet.Script()))
			}
		})
	}
}

// The budget is the npm tests' to hold, against brotli's own compressor; what
// is served comes from another one and may be a little larger.
func TestWhatIsServedKeepsNearTheBudget(t *testing.T) {
	if got := len(snippet.Brotli()); got > 2500 {
		t.Errorf("%d bytes of brotli, want 2500 at most", got)
	}
}

// The lock names versions and checksums and no registry, so that it holds with
// any mirror.
func TestLockPinsVersionsAndNoHost(t *testing.T) {
	raw, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	var lock struct {
		Packages map[string]struct{ Version, Resolved, Integrity string }
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		if name == "" {
			continue
		}
		if p.Version == "" || p.Integrity == "" || p.Resolved != "" {
			t.Errorf("%s: version %q, integrity %q, resolved %q", name, p.Version, p.Integrity, p.Resolved)
		}
	}

	raw, err = os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Dependencies    map[string]string
		DevDependencies map[string]string
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		t.Fatal(err)
	}
	if len(manifest.Dependencies) != 0 {
		t.Errorf("the script has no runtime dependency; package.json names %v", manifest.Dependencies)
	}
	exact := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for name, version := range manifest.DevDependencies {
		if !exact.MatchString(version) {
			t.Errorf("%s: %q is no exact version", name, version)
		}
	}
}

// What a blocker or a strict policy would refuse must not slip in by a tool.
func TestScriptHasNoEvalAndNoOtherHost(t *testing.T) {
	s := string(snippet.Script())
	for _, word := range []string{"eval(", "new Function", "http://", "https://", "innerHTML", "document.write", "//# source"} {
		if strings.Contains(s, word) {
			t.Errorf("the script contains %q", word)
		}
	}
}
