package metrics

import (
	"bytes"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// full makes figures with something in each of them.
func full() *Metrics {
	m := New(Options{Version: "1.2.3", Commit: "abcdef0", Sites: []string{"news.example", "shop.example"}, Now: func() time.Time { return noon }})
	for _, status := range []int{204, 204, 400, 403, 413, 415, 429, 503, 418} {
		m.Beacon(status)
	}
	for _, kind := range []string{"view", "view", "copy", "share", "made-up"} {
		m.Event(kind)
	}
	m.Filtered("news.example", "gpc")
	m.Filtered("news.example", "rate")
	m.Filtered("unknown.example", "foreign")
	m.Filtered("shop.example", "made-up")
	m.Stored(700 * time.Microsecond)
	m.Stored(30 * time.Millisecond)
	m.Stored(20 * time.Second)
	m.Panic()
	m.Opened()
	m.Opened()
	m.Closed()
	m.Refused()
	m.Spool(func() SpoolStats {
		return SpoolStats{Rows: 41, Bytes: 17548, Oldest: noon.Add(-90 * time.Second), Full: true, FreeDisk: 5 << 30, SetAside: 1}
	})
	m.Loader(func() LoaderStats {
		return LoaderStats{Batches: 12, Rows: 3400, Nodes: 900, Repaired: 4, Retries: 2, Recounts: 1, Quarantined: 0, Lag: 1300 * time.Millisecond, State: "waiting", Reason: "parts"}
	})
	m.Engine(func() EngineStats { return EngineStats{Up: true, Restarts: 3} })
	return m
}

func page(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(g, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("page: %d %v\n%s", w.Code, err, body)
	}
	return string(body)
}

// The whole page of our own figures is a golden file: a name, a label or a help
// text that changes is seen in review, because somebody's alert reads it.
func TestPageIsTheGoldenFile(t *testing.T) {
	got := page(t, full().own)
	got = strings.ReplaceAll(got, runtime.Version(), "GOVERSION")
	golden := filepath.Join("testdata", "metrics.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(got), want) {
		t.Errorf("the page differs from %s (rewrite with -update and read the diff)\ngot:\n%s", golden, got)
	}
}

func TestHandlerAlsoShowsGoAndProcess(t *testing.T) {
	w := httptest.NewRecorder()
	full().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, name := range []string{"passalong_beacons_total", "go_goroutines ", "process_open_fds "} {
		if !strings.Contains(w.Body.String(), "\n"+name) {
			t.Errorf("%s is not on the page", name)
		}
	}
}

// Whatever a stranger sends, the number of series stays the same.
func TestLabelsComeFromFixedSets(t *testing.T) {
	m := New(Options{Sites: []string{"news.example"}})
	before := series(page(t, m.own))
	for i := range 1000 {
		text := strings.Repeat("x", i%40) + string(rune('a'+i%26))
		m.Beacon(i)
		m.Event(text)
		m.Filtered(text, text)
	}
	if after := series(page(t, m.own)); after != before {
		t.Errorf("%d series before, %d after a thousand made-up labels", before, after)
	}
}

func series(page string) (n int) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}

func TestOldestIsZeroWhenNothingWaits(t *testing.T) {
	m := New(Options{Now: func() time.Time { return noon }})
	oldest := time.Time{}
	m.Spool(func() SpoolStats { return SpoolStats{Oldest: oldest} })
	for _, c := range []struct {
		name   string
		oldest time.Time
		want   float64
	}{
		{"nothing waits", time.Time{}, 0},
		{"a row of a minute ago", noon.Add(-time.Minute), 60},
		{"a clock that was set back", noon.Add(time.Minute), 0},
	} {
		oldest = c.oldest
		for _, f := range m.Figures() {
			if f.Key == "spool_oldest_seconds" && f.Value != c.want {
				t.Errorf("%s: %v, want %v", c.name, f.Value, c.want)
			}
		}
	}
}

// The view `health` says what the page says.
func TestFiguresAgreeWithThePage(t *testing.T) {
	m := full()
	text := page(t, m.own)
	figures := m.Figures()
	if len(figures) != 6+8+7+12+2 {
		t.Errorf("%d figures: %v", len(figures), figures)
	}
	for _, f := range figures {
		name := "passalong_" + f.Key + " "
		if state, ok := strings.CutPrefix(f.Key, "loader_state_"); ok {
			name = `passalong_loader_state{state="` + state + `"} `
		}
		if reason, ok := strings.CutPrefix(f.Key, "loader_waits_"); ok {
			name = `passalong_loader_waits{reason="` + reason + `"} `
		}
		_, rest, ok := strings.Cut(text, "\n"+name)
		if !ok {
			t.Errorf("%s is not on the page", f.Key)
			continue
		}
		value, _, _ := strings.Cut(rest, "\n")
		if want := prometheusNumber(f.Value); value != want {
			t.Errorf("%s: the page says %s, Figures %s", f.Key, value, want)
		}
	}
}

func TestCountingAndScrapingAtOnce(t *testing.T) {
	m := New(Options{Sites: []string{"news.example"}})
	m.Spool(func() SpoolStats { return SpoolStats{} })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				m.Beacon(204)
				m.Event("view")
				m.Filtered("news.example", "bot")
				m.Figures()
				_ = page(t, m.own)
			}
		})
	}
	wg.Wait()
	if text := page(t, m.own); !strings.Contains(text, `passalong_beacons_total{answer="204"} 200`) {
		t.Errorf("counts were lost:\n%s", text)
	}
}

func prometheusNumber(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
