package main

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Address and agent end in memory: they are in no file of the data directory,
// before and after loading, in no column of a table and in no line of the log.
func TestAddressAndAgentAreNowhere(t *testing.T) {
	const (
		address = "203.0.113.77"
		agent   = phone + " OddlyNamed/7.7"
		query   = "personal=secret-of-the-reader"
	)
	secrets := map[string][]byte{
		"address": []byte(address), "address in bytes": {203, 0, 113, 77}, "mapped address": []byte("\xff\xff\xcb\x00\x71\x4d"),
		"agent": []byte("OddlyNamed"), "query of the referrer": []byte("secret-of-the-reader"),
	}
	dir := t.TempDir()
	s := serve(t, dir, "--site", "news.example", "--log-level", "debug", "--flush-interval", "20s")
	body := strings.Replace(view("https://news.example/a/b?fbclid=secret-of-the-reader", mint(time.Now(), 1), ""),
		`"seq":0`, `"seq":0,"referrer":"https://mail.example/inbox?`+query+`"`, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.address+"/e", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("User-Agent", agent)
	req.Header.Set("X-Forwarded-For", address)
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusNoContent {
		t.Fatal(res, err)
	}
	res.Body.Close()
	look := func(when string) {
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
				return nil // gone meanwhile, or a hole
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			files++
			for name, secret := range secrets {
				if bytes.Contains(text, secret) {
					t.Errorf("%s: %s holds the %s", when, strings.TrimPrefix(path, dir), name)
				}
			}
			return nil
		})
		if err != nil || files < 10 {
			t.Fatalf("%d files looked at, %v", files, err)
		}
	}
	s.kill(t) // so that nothing of the spool has been loaded, merged or compressed
	look("in the spool")
	found := false
	_ = filepath.WalkDir(filepath.Join(dir, "spool"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != "ballast" {
			text, _ := os.ReadFile(path)
			found = found || bytes.Contains(text, []byte("https://news.example/a/b"))
		}
		return nil
	})
	if !found {
		t.Error("the page is not in the spool either: this test looks in the wrong place")
	}
	killed := s
	s = serve(t, dir, "--site", "news.example")
	s.await(t, "select page, referrer, clickid from events", "page\treferrer\tclickid\nhttps://news.example/a/b\thttps://mail.example/inbox\tfbclid\n")
	look("in the tables")
	for _, table := range []string{"events", "nodes", "attribution"} {
		row := output(t, "sql", "--data-dir", dir, "--format", "JSONEachRow", "select * from "+table)
		for name, secret := range secrets {
			if strings.Contains(row, string(secret)) {
				t.Errorf("%s holds the %s: %s", table, name, row)
			}
		}
	}
	for name, secret := range secrets {
		if strings.Contains(killed.log.String()+s.log.String(), string(secret)) {
			t.Errorf("the log holds the %s", name)
		}
	}
}
