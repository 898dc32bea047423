// Package snippet holds the script that pages embed, ready to be served.
//
// The script is built from src by `npm run build` and committed as
// dist/passalong.js, so that a Go build needs no Node. A caller gets its bytes,
// its brotli and gzip forms, and the names derived from its content. All are
// made once and never change while the process runs; the returned slices are
// shared and must not be written to.
//
// The package knows neither HTTP nor where the script is served. It does not
// promise that two versions of Go compress to the same bytes, only that each
// form unpacks to the script: hence the ETag is weak and stands for all forms.
//
// What surprises: the compressed forms are made here, at first use, and not by
// the npm build. Node's zlib gives other bytes on another processor or version
// of Node, and a committed file that differs from machine to machine would make
// the check of generated files fail for no reason. It costs some milliseconds
// at start; the budget of the script is held against brotli in the npm tests.
package snippet

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
)

//go:embed dist/passalong.js
var script []byte

// Script returns the script as browsers run it: UTF-8, no source map.
func Script() []byte { return script }

// Brotli returns the script for `Content-Encoding: br`.
func Brotli() []byte { return brotlied() }

// Gzip returns the script for `Content-Encoding: gzip`.
func Gzip() []byte { return gzipped() }

// Hash names the content: the first 16 hex digits of its SHA-256.
func Hash() string { return hash }

// Name is the file name that may be cached for ever: passalong.<hash>.js.
func Name() string { return "passalong." + hash + ".js" }

// ETag is the validator for the fixed name. It is weak, so that one value
// serves the plain, the brotli and the gzip form.
func ETag() string { return `W/"` + hash + `"` }

// Integrity is the value of a script tag's `integrity` attribute.
func Integrity() string { return integrity }

var (
	hash = func() string {
		sum := sha256.Sum256(script)
		return hex.EncodeToString(sum[:8])
	}()
	integrity = func() string {
		sum := sha512.Sum384(script)
		return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
	}()

	brotlied = sync.OnceValue(func() []byte {
		return packed(func(b *bytes.Buffer) io.WriteCloser { return brotli.NewWriterLevel(b, brotli.BestCompression) })
	})
	gzipped = sync.OnceValue(func() []byte {
		return packed(func(b *bytes.Buffer) io.WriteCloser {
			w, _ := gzip.NewWriterLevel(b, gzip.BestCompression) // errs only for a level that is none
			return w
		})
	})
)

// packed runs the script through a compressor that ends in memory. Memory takes
// everything, so an error is a broken compressor, and then there is nothing to
// serve.
func packed(compressor func(*bytes.Buffer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := compressor(&b)
	_, err := w.Write(script)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("snippet: compress: " + err.Error())
	}
	return b.Bytes()
}
