package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pages is a folder to try Passalong with, and a secret beside it.
func pages(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	dir := filepath.Join(base, "pages")
	for name, text := range map[string]string{
		"secret.txt":                "secret",
		"pages/index.html":          "<!doctype html><title>front</title>",
		"pages/article.html":        "<!doctype html><title>article</title>",
		"pages/section/index.html":  "<!doctype html><title>section</title>",
		"pages/section/style.css":   "body{}",
		"pages/empty/keep.bin":      "\x00",
		"pages/.hidden.html":        "secret",
		"pages/section/.git/config": "secret",
	} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(base, "secret.txt"), filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPages(t *testing.T) {
	dir := pages(t)
	r := start(t, func(o *Options) { o.Pages = dir })
	const html = "text/html; charset=utf-8"
	for _, c := range []struct {
		name, path string
		status     int
		kind, says string
	}{
		{"an article", "/pages/article.html", 200, html, "article"},
		{"an article with a query", "/pages/article.html?utm_source=x", 200, html, "article"},
		{"the front page", "/pages/", 200, html, "front"},
		{"a section", "/pages/section/", 200, html, "section"},
		{"its style", "/pages/section/style.css", 200, "text/css; charset=utf-8", "body"},
		{"what has no type", "/pages/empty/keep.bin", 200, "application/octet-stream", "\x00"},
		{"the folder without its slash", "/pages", 301, "", ""},
		{"a section without its slash", "/pages/section", 302, "", ""},
		{"no listing", "/pages/empty/", 404, "application/json", ""},
		{"nothing there", "/pages/nothing.html", 404, "application/json", ""},
		{"up", "/pages/../secret.txt", 404, "application/json", ""},
		{"up, escaped", "/pages/%2e%2e/secret.txt", 404, "application/json", ""},
		{"up, with an escaped slash", "/pages/..%2fsecret.txt", 404, "application/json", ""},
		{"up, with a backslash", `/pages/..\secret.txt`, 404, "application/json", ""},
		{"up from below", "/pages/section/../../secret.txt", 404, "application/json", ""},
		{"an absolute path", "/pages//etc/passwd", 404, "application/json", ""},
		{"a link that leads out", "/pages/link.txt", 404, "application/json", ""},
		{"a hidden file", "/pages/.hidden.html", 404, "application/json", ""},
		{"a hidden folder", "/pages/section/.git/config", 404, "application/json", ""},
		{"a NUL", "/pages/article.html%00.txt", 404, "application/json", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			// By hand: net/http would tidy the path.
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", c.path)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.kind || !strings.Contains(string(body), c.says) || strings.Contains(string(body), "secret") {
				t.Errorf("%d %q %q, want %d %q %q", res.StatusCode, res.Header.Get("Content-Type"), body, c.status, c.kind, c.says)
			}
			if res.StatusCode == 200 && (res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "" || res.Header.Get("Content-Security-Policy") != "") {
				t.Errorf("a page that cannot run a script or send a referrer: %v", res.Header)
			}
		})
	}
}

func TestPagesFolderMustExist(t *testing.T) {
	_, err := New(Options{Intake: &door{}, Spool: &disk{}, Sites: sites(t), Pages: filepath.Join(t.TempDir(), "nothing")})
	if err == nil || !strings.HasPrefix(err.Error(), "pages: ") {
		t.Errorf("%v", err)
	}
}

// The page's own style is let in by the policy's hash, nothing else is.
func TestHomePolicyKnowsItsStyle(t *testing.T) {
	if !strings.Contains(homePolicy, "style-src 'sha256-") || strings.Contains(homePolicy, "unsafe") || strings.Contains(string(homePage), "style=") {
		t.Error(homePolicy)
	}
}
