package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/token"
)

// A million lines through validation, enrichment, spool and loader, until every
// view shows them. -benchtime 1x is enough; the file is made once.
func BenchmarkImportOfAMillionLines(b *testing.B) {
	const lines = 1_000_000
	path := filepath.Join(b.TempDir(), "visits.ndjson")
	writeVisits(b, path, lines)
	var took time.Duration
	var peak int
	for b.Loop() {
		dir := b.TempDir()
		cmd := command(b, "import", "--data-dir", dir, "--site", "news.example", path)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(50 * time.Millisecond):
					peak = max(peak, highWater(cmd.Process.Pid))
				}
			}
		}()
		err := cmd.Wait()
		close(over)
		took += time.Since(began)
		if err != nil || !strings.Contains(out.String(), fmt.Sprintf("%d lines taken, 0 rejected, 0 duplicate", lines)) {
			b.Fatalf("%v\n%s", err, out.String())
		}
		b.StopTimer()
		got := output(b, "sql", "--data-dir", dir, "--format", "TSV", "SELECT count(), uniqExact(row), (SELECT count() FROM nodes) FROM events")
		if want := fmt.Sprintf("%d\t%d\t%d\n", lines, lines, lines); got != want {
			b.Fatalf("rows, different ones, nodes: %s, want %s", got, want)
		}
		b.StartTimer()
	}
	b.ReportMetric(took.Seconds()/float64(b.N), "s")
	b.ReportMetric(float64(lines*b.N)/took.Seconds(), "lines/s")
	b.ReportMetric(float64(peak)/1000, "MB-at-most")
	b.ReportMetric(0, "ns/op")
}

var highWaterLine = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// highWater is the most memory a process has had, in kB; 0 when it is gone.
func highWater(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	m := highWaterLine.FindSubmatch(status)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(m[1])) // digits
	return n
}

// writeVisits makes a month of page views; a third came by one of the last ones.
func writeVisits(b *testing.B, path string, n int) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(4, 4))
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	var recent [10_000]string
	for i := range n {
		at := from.Add(time.Duration(i) * 2500 * time.Millisecond)
		var chance [6]byte
		for j := range chance {
			chance[j] = byte(r.UintN(62))
		}
		view := token.New(at, chance)
		via, referrer := "", ""
		if i > len(recent) && r.IntN(3) == 0 {
			via = fmt.Sprintf(`"via":%q,`, recent[r.IntN(len(recent))])
		} else if r.IntN(3) == 0 {
			referrer = `"referrer":"https://www.google.com/",`
		}
		recent[i%len(recent)] = view
		agent, _ := json.Marshal(strings.Replace(phone, "155", strconv.Itoa(100+r.IntN(60)), 1)) // a string always marshals
		fmt.Fprintf(w, `{"time":%q,"ip":"%d.%d.%d.%d","agent":%s,"beacon":{"site":"news.example","page":"https://news.example/2026/10/an-article-of-usual-length-%d","view":%q,"seq":0,%s%s"title":"An article of usual length","language":"fr-FR","zone":"Europe/Paris","width":390,"events":[{"type":"view","age":0,"hash":"written"}]}}`+"\n",
			at.Format("2006-01-02T15:04:05.000Z"), 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256), agent, r.IntN(2000), view, via, referrer)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}
