package loader

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/lineage"
)

// readers makes views as a collector would store them: five events to two
// views, each field that is usually there with a usual length.
func readers(n int) []*event.Event {
	r := rand.New(rand.NewPCG(7, 7))
	token := func(i int) string { return fmt.Sprintf("%04d%06dx", 1000+i/5000, i) }
	events := make([]*event.Event, 0, n)
	for i := 0; len(events) < n; i++ {
		via := ""
		if i > 0 && r.IntN(10) < 3 {
			via = token(r.IntN(i))
		}
		at := noon.Add(time.Duration(i) * 10 * time.Millisecond).UnixMilli()
		page := r.IntN(500)
		e := event.Event{
			Site: "news.example", Type: "view", Time: at, Received: at + 30, Day: int32(at / 86_400_000), Seq: new(uint32), Privacy: "full",
			View: token(i), Via: via, Visitor: fmt.Sprintf("%016x", r.Uint64()), Network: r.Uint64(),
			Page:  fmt.Sprintf("https://news.example/2026/10/01/an-article-of-usual-length-%d", page),
			Title: fmt.Sprintf("An article of usual length, number %d", page), Author: fmt.Sprintf("Author %d", page%40), Section: fmt.Sprintf("section %d", page%8),
			Published: noon.UnixMilli(), Language: "fr-FR", Zone: "Europe/Paris", Width: 390 + uint32(r.IntN(20)), Hash: "written",
			Country: []string{"FR", "BE", "CH"}[r.IntN(3)], Device: "phone", Os: []string{"iOS", "Android"}[r.IntN(2)], Browser: "Safari", BrowserMajor: 18,
		}
		if r.IntN(3) == 0 {
			e.Referrer, e.ReferrerKind, e.ReferrerChannel = "https://www.google.com/", "search", ""
		}
		events = append(events, &e)
		for j := range r.IntN(4) {
			more := event.Event{Site: e.Site, Time: at + int64(j), Received: at + 9000, Day: e.Day, Seq: e.Seq, Item: uint32(j), Privacy: e.Privacy, View: e.View,
				Visitor: e.Visitor, Network: e.Network, Page: e.Page, Language: e.Language, Zone: e.Zone, Country: e.Country, Device: e.Device, Os: e.Os, Browser: e.Browser, BrowserMajor: e.BrowserMajor}
			switch j {
			case 0:
				more.Type, more.Visible, more.Scroll = "engage", uint64(r.IntN(100_000)), uint32(r.IntN(101))
			default:
				more.Type, more.What, more.Chars, more.Words = "copy", "text", 120, 20
			}
			events = append(events, &more)
		}
	}
	return events[:n]
}

// Rows a second from a full spool into every table, lineage decided.
func BenchmarkLoad(b *testing.B) {
	const rows = 500_000
	e := enginetest.New(b, engine.Options{HTTP: "127.0.0.1:0"})
	pid := e.PID()
	for b.Loop() {
		b.StopTimer()
		w := openWorld(b, e.DSN())
		s := openSpool(b, b.TempDir())
		c := &collector{world: w, spool: s}
		for some := range slices.Chunk(readers(rows), 4000) {
			c.append(some...)
		}
		o := w.options(s)
		o.Alone = true
		runtime.GC()
		client, server := processor(b, os.Getpid()), processor(b, pid)
		b.StartTimer()
		began := time.Now()
		c = w.start(o)
		c.flush()
		took := time.Since(began)
		b.StopTimer()
		b.ReportMetric(rows/took.Seconds(), "rows/s")
		b.ReportMetric((processor(b, os.Getpid())-client).Seconds()*1e6/rows, "µs-collector/row")
		b.ReportMetric((processor(b, pid)-server).Seconds()*1e6/rows, "µs-clickhouse/row")
		st := c.Stats()
		b.Logf("%d batches; events %v, lineage %v a batch", st.Batches, st.Insert.Total/time.Duration(st.Insert.Count), st.Lineage.Total/time.Duration(st.Lineage.Count))
		c.stop()
		native := dump(b, e, "SELECT * FROM passalong.events FORMAT Native")
		for _, alone := range []struct{ name, settings string }{
			// The yardstick: the engine reads the same rows from a file in its own format
			// and makes parts of them of the size that we make.
			{"engine", "max_insert_block_size=50000&min_insert_block_size_rows=50000&min_insert_block_size_bytes=0"},
			// And as it likes best: all rows in one part, which no stream of events can be.
			{"engine-one-part", "min_insert_block_size_rows=10000000&min_insert_block_size_bytes=0"},
		} {
			w.exec("CREATE OR REPLACE TABLE passalong.bench AS passalong.events")
			runtime.GC()
			server := processor(b, pid)
			began := time.Now()
			restore(b, e, "INSERT INTO passalong.bench FORMAT Native", alone.settings, native)
			its := time.Since(began)
			b.ReportMetric(rows/its.Seconds(), alone.name+"-rows/s")
			b.ReportMetric(its.Seconds()/took.Seconds(), "of-"+alone.name)
			b.ReportMetric((processor(b, pid)-server).Seconds()*1e6/rows, "µs-"+alone.name+"/row")
			if n := w.number("SELECT count() FROM passalong.bench"); n != rows {
				b.Fatalf("%d rows in the yardstick", n)
			}
			w.exec("DROP TABLE passalong.bench SYNC")
		}
		b.StartTimer()
	}
}

// dump writes what a query answers into a file.
func dump(b *testing.B, e *engine.Engine, query string) (path string) {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "events.native"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	answer := ask(b, e, query, "", nil)
	defer answer.Close()
	if _, err := io.Copy(file, answer); err != nil {
		b.Fatal(err)
	}
	return file.Name()
}

// restore sends a file to an INSERT.
func restore(b *testing.B, e *engine.Engine, query, settings, path string) {
	b.Helper()
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	ask(b, e, query, settings, file).Close()
}

// ask sends a query over HTTP, which the collector never does, and waits for
// the head of the answer.
func ask(b *testing.B, e *engine.Engine, query, settings string, body io.Reader) io.ReadCloser {
	b.Helper()
	dsn, err := url.Parse(e.DSN())
	if err != nil {
		b.Fatal(err)
	}
	password, _ := dsn.User.Password()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+e.HTTP()+"/?query="+url.QueryEscape(query)+"&async_insert=0&"+settings, body)
	if err != nil {
		b.Fatal(err)
	}
	req.SetBasicAuth(dsn.User.Username(), password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(res.Body)
		b.Fatalf("%s: %s", query, why)
	}
	return res.Body
}

// processor is the time that a process has had of the processor, which other
// programs on the machine change less than the time that passed.
func processor(b *testing.B, pid int) time.Duration {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// The lineage of a block of 10,000 births, whose parents are anywhere among a
// million nodes.
func BenchmarkLineageOfABlock(b *testing.B) {
	w := newWorld(b)
	w.exec(`INSERT INTO passalong.lineage (site, token, kind, via, parent, origin, depth, pending, time, received, page, visitor, generation, version)
		SELECT 'news.example', concat(leftPad(toString(1000 + intDiv(number, 5000)), 4, '0'), leftPad(toString(number), 6, '0'), 'x') AS token, 'view', '', '', token, 0, 0,
			toDateTime64('2026-10-01 12:00:00', 3, 'UTC') AS time, time, concat('https://news.example/2026/10/01/an-article-of-usual-length-', toString(number % 500)),
			lower(hex(sipHash64(number))), -1, 1 FROM numbers(1000000)`)
	for run, spread := range []struct {
		name string
		over int
	}{{"parents of the last hour", 20_000}, {"parents anywhere", 1_000_000}} {
		b.Run(spread.name, func(b *testing.B) {
			n := newNodes(w, time.Minute, true)
			if err := n.know(b.Context()); err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 1))
			births := make([]lineage.Birth, 10_000)
			var decided, written time.Duration
			defer func() {
				b.ReportMetric(decided.Seconds()*1000/float64(b.N), "ms-decided")
				b.ReportMetric(written.Seconds()*1000/float64(b.N), "ms-written")
			}()
			for round := 0; b.Loop(); round++ {
				for i := range births {
					p := 1_000_000 - 1 - r.IntN(spread.over)
					births[i] = lineage.Birth{Site: "news.example", Kind: lineage.View, Token: fmt.Sprintf("2%d%02d%06dx", run, round, i), Generation: -1, Visitor: "v",
						Via: fmt.Sprintf("%04d%06dx", 1000+p/5000, p), Time: noon.Add(time.Hour).UnixMilli(), Received: noon.Add(time.Hour).UnixMilli()}
				}
				began := time.Now()
				d, err := lineage.Decide(context.Background(), n, births, nil)
				if err != nil {
					b.Fatal(err)
				}
				decided += time.Since(began)
				began = time.Now()
				if err := n.write(context.Background(), d); err != nil {
					b.Fatal(err)
				}
				written += time.Since(began)
				for i := range d.Changed {
					if d.Changed[i].Depth != 1 || d.Changed[i].Pending {
						b.Fatalf("%+v", d.Changed[i])
					}
				}
			}
		})
	}
}
