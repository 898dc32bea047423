package main

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/store"
)

// From the answer 204 to the row in `attribution`, at the default
// flush-interval, asked over one open connection.
func BenchmarkFromAnswerToAttribution(b *testing.B) {
	s := serve(b, b.TempDir(), "--site", "news.example")
	client, err := control.Dial(s.dir)
	for ; errors.Is(err, control.ErrNotRunning); client, err = control.Dial(s.dir) { // the socket comes last
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	info, err := client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	db, err := store.Open(info.ReaderDSN)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	n := byte(0)
	for b.Loop() {
		n++
		token := mint(time.Now(), n)
		if code := s.send(b, phone+" "+token, view("https://news.example/a/b", token, "")); code != 204 {
			b.Fatal(code)
		}
		for seen := uint64(0); seen == 0; {
			if err := db.Conn().QueryRow(b.Context(), "select count() from passalong.attribution where visit = $1", token).Scan(&seen); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// From the start of the process to /readyz 200, and until ClickHouse has the
// schema: on a fresh data directory, and again on the same.
func BenchmarkStart(b *testing.B) {
	for _, name := range []string{"fresh", "again"} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			if name == "again" {
				serve(b, dir, "--site", "news.example").stop(b)
			}
			var ready, loaded time.Duration
			runs := 0
			for b.Loop() {
				started := time.Now()
				s := serve(b, dir, "--site", "news.example")
				res, err := http.Get(s.address + "/readyz")
				if err != nil || res.StatusCode != http.StatusOK {
					b.Fatal(err, res)
				}
				res.Body.Close()
				ready += time.Since(started)
				for !strings.Contains(s.log.String(), "clickhouse is ready") {
					time.Sleep(5 * time.Millisecond)
				}
				loaded += time.Since(started)
				runs++
				s.stop(b)
				if name == "fresh" {
					os.RemoveAll(dir)
				}
			}
			b.ReportMetric(float64(ready.Milliseconds())/float64(runs), "ms-to-readyz")
			b.ReportMetric(float64(loaded.Milliseconds())/float64(runs), "ms-to-schema")
		})
	}
}
