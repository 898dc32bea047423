//go:build linux

package yardstick

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/control"
	"github.com/passalong/passalong/collector/store"
	"github.com/passalong/passalong/collector/token"
)

// BenchmarkHalfRate loads a new collector with half of what it can take, sent
// at its times whether or not answers come, and asks how long a view that is
// answered 204 needs to be a node, and how long to stand in `attribution`. The
// second is the first and one query of that view over all visits there are.
func BenchmarkHalfRate(b *testing.B) {
	s := startWhole(b)
	rate := report.median(rateOfWhole)
	if rate == 0 { // BenchmarkWayIn did not run
		r := measure(b, s, order{Warm: time.Second, Window: *window, Seed: seed()}, nil)
		rate = r.perSecond()
	}
	db := reading(b, s)
	defer db.Close()
	var node, attributed []time.Duration
	// The warm-up lasts until the loader has found its pace.
	o := order{Rate: rate / 2, Warm: 3 * time.Second, Window: max(*window, 6*time.Second), Seed: seed()}
	r := measure(b, s, o, func() {
		for i, end := 0, time.Now().Add(o.Window-2*time.Second); time.Now().Before(end); i++ {
			n, a := visible(b, s, db, i)
			node, attributed = append(node, n), append(attributed, a)
		}
	})
	var visits uint64
	if err := db.Conn().QueryRow(b.Context(), "/* yardstick */ select count() from passalong.visits").Scan(&visits); err != nil {
		b.Fatal(err)
	}
	f := &report
	f.add("half the rate: beacons a second", r.perSecond(), r.generator)
	f.add("half the rate: latency p50 in ms", ms(r.P50), r.generator)
	f.add("half the rate: latency p99 in ms", ms(r.P99), r.generator)
	for i := range node {
		f.add("half the rate: s from 204 to `nodes`", node[i].Seconds(), r.generator)
		f.add("half the rate: s from 204 to `attribution`", attributed[i].Seconds(), r.generator)
	}
	f.add("half the rate: thousands of visits in it at the end", float64(visits)/1000, r.generator)
	f.atMost("half the rate: s from 204 to `attribution`", 2)
	b.ReportMetric(attributed[len(attributed)-1].Seconds(), "s-to-attribution")
	b.ReportMetric(0, "ns/op")
}

// reading opens the collector's tables as a reader does.
func reading(b *testing.B, s *subject) *store.DB {
	b.Helper()
	client, err := control.Dial(filepath.Join(s.dir, "data"))
	for ; errors.Is(err, control.ErrNotRunning); client, err = control.Dial(filepath.Join(s.dir, "data")) { // the socket comes last
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
	return db
}

// visible sends one view and waits for it, first in nodes, then in attribution.
func visible(b *testing.B, s *subject, db *store.DB, n int) (node, attributed time.Duration) {
	b.Helper()
	view := token.New(time.Now(), [6]byte{61, 61, 61, 61, byte(n / 62 % 62), byte(n % 62)})
	body := fmt.Sprintf(`{"site":"news.example","page":"https://news.example/a/b","view":%q,"seq":0,"events":[{"type":"view","age":0}]}`, view)
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+s.address+"/e", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	// Somebody else each time, or it were all one visit.
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0 "+view)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		b.Fatalf("answered %s", res.Status)
	}
	answered := time.Now()
	await := func(query string) time.Duration {
		for time.Since(answered) < time.Minute {
			var there uint64
			if err := db.Conn().QueryRow(b.Context(), "/* yardstick */ select count() from passalong."+query, view).Scan(&there); err != nil {
				b.Fatal(err)
			}
			if there > 0 {
				return time.Since(answered)
			}
			time.Sleep(20 * time.Millisecond) // so as not to measure the questions
		}
		b.Fatalf("%s has not seen the view after a minute", query)
		return 0
	}
	return await("nodes where site = 'news.example' and token = $1"), await("attribution where visit = $1")
}
