package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/intake"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/spool"
	"github.com/passalong/passalong/collector/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

type oneSalt struct{ err error }

func (s oneSalt) For(string, int32) ([32]byte, error) { return [32]byte{1}, s.err }

// enricher is made once: it reads all tables of facts.
var enricher = sync.OnceValues(func() (*enrich.Enricher, error) {
	return enrich.New(enrich.Options{Salts: oneSalt{}})
})

func options(t testing.TB, s Spool) Options {
	t.Helper()
	news, err := site.New("news.example")
	if err != nil {
		t.Fatal(err)
	}
	sites, err := site.NewSet(news)
	if err != nil {
		t.Fatal(err)
	}
	e, err := enricher()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Import: intake.New(intake.Options{Sites: sites, Enricher: e}).Import(),
		Spool:  s,
		Now:    func() time.Time { return noon },
	}
}

func realSpool(t testing.TB) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: t.TempDir(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// memory is a spool that keeps the order of what it was given and forgets the
// events.
type memory struct {
	lines  []spool.Line
	seen   map[[16]byte]bool
	before func(lines []spool.Line) error
}

func (m *memory) AppendLines(_ context.Context, lines []spool.Line) ([]bool, error) {
	if m.before != nil {
		if err := m.before(lines); err != nil {
			return nil, err
		}
	}
	if m.seen == nil {
		m.seen = map[[16]byte]bool{}
	}
	duplicate := make([]bool, len(lines))
	for i, l := range lines {
		if duplicate[i] = m.seen[l.Identity]; !duplicate[i] {
			m.seen[l.Identity] = true
			m.lines = append(m.lines, l)
		}
	}
	return duplicate, nil
}

func tok(n int) string {
	var d [6]byte
	for i := range d {
		d[5-i] = byte(n % 62)
		n /= 62
	}
	return token.New(noon, d)
}

// visit is an import line of one page view.
func visit(n int) string {
	return fmt.Sprintf(`{"time":%q,"ip":"203.0.113.%d","agent":"Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",`+
		`"beacon":{"site":"news.example","page":"https://news.example/%d","view":%q,"events":[{"type":"view","age":0}]}}`,
		noon.Add(time.Duration(n-20000)*time.Second).Format(time.RFC3339), n%250, n, tok(n))
}

func file(from, to int) string {
	var b strings.Builder
	for n := from; n < to; n++ {
		b.WriteString(visit(n))
		b.WriteByte('\n')
	}
	return b.String()
}

func mustRun(t *testing.T, o Options, text string) Summary {
	t.Helper()
	sum, err := Run(t.Context(), strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != sum.Bytes {
		t.Errorf("%d bytes counted of %d", sum.Bytes, len(text))
	}
	return sum
}

// counts is a summary in short: taken (skipped of them) / rejected / duplicate of lines.
func counts(s Summary) string {
	return fmt.Sprintf("%d(%d)/%d/%d of %d", s.Taken, s.Skipped, s.Rejected, s.Duplicate, s.Lines)
}

func TestFiles(t *testing.T) {
	skipped := strings.Replace(visit(1), `"ip"`, `"gpc":true,"ip"`, 1)
	huge := strings.Replace(visit(1), `"ip"`, `"x":"`+strings.Repeat("x", hit.MaxLine)+`","ip"`, 1)
	full := strings.Replace(visit(1), `"ip"`, `"x":"`+strings.Repeat("x", hit.MaxLine-len(visit(1))-len(`"x":"",`))+`","ip"`, 1)
	if len(full) != hit.MaxLine {
		t.Fatalf("a full line of %d bytes", len(full))
	}
	rubbish := make([]byte, 100_000)
	for i := range rubbish {
		rubbish[i] = byte(rand.NewPCG(1, uint64(i)).Uint64())
	}
	rubbish = bytes.ReplaceAll(bytes.ReplaceAll(rubbish, []byte("\n"), nil), []byte("\r"), nil)
	for _, c := range []struct {
		name, text, want string
		rejected         []string
	}{
		{"an empty file", "", "0(0)/0/0 of 0", nil},
		{"one line", visit(1) + "\n", "1(0)/0/0 of 1", nil},
		{"a last line without its end", visit(1) + "\n" + visit(2), "2(0)/0/0 of 2", nil},
		{"a torn last line", visit(1) + "\n" + visit(2)[:100], "1(0)/1/0 of 2", []string{"line 2: agent: not JSON after byte"}},
		{"blank lines are no lines, but count", "\n  \n" + visit(1) + "\n\t\r\n\n{}\n", "1(0)/1/0 of 6", []string{"line 6: time: missing"}},
		{"only line ends", "\n\n\n", "0(0)/0/0 of 3", nil},
		{"a file from Windows", visit(1) + "\r\n" + visit(2) + "\r\n", "2(0)/0/0 of 2", nil},
		{"the same line with either end", visit(1) + "\r\n" + visit(1) + "\n" + visit(1), "1(0)/0/2 of 3", nil},
		{"a byte order mark", "\ufeff" + visit(1) + "\n" + visit(2) + "\n", "2(0)/0/0 of 2", nil},
		{"a byte order mark in the middle", visit(1) + "\n\ufeff" + visit(2) + "\n", "1(0)/1/0 of 2", []string{"line 2: line: not JSON"}},
		{"the same line twice", visit(1) + "\n" + visit(2) + "\n" + visit(1) + "\n", "2(0)/0/1 of 3", nil},
		{"the same visit in other words", visit(1) + "\n " + visit(1) + "\n", "2(0)/0/0 of 2", nil},
		{"a line with a privacy signal", skipped + "\n" + skipped + "\n" + visit(2), "3(2)/0/0 of 3", nil},
		{"the longest line", full + "\n" + visit(2), "2(0)/0/0 of 2", nil},
		{"the longest line from Windows", full + "\r\n" + visit(2), "2(0)/0/0 of 2", nil},
		{"a line that is too long", visit(1) + "\n" + huge + "\n" + visit(2) + "\n", "2(0)/1/0 of 3", []string{"line 2: line: longer than 131072 bytes"}},
		{"a line that is too long and the last", visit(1) + "\n" + huge, "1(0)/1/0 of 2", []string{"line 2: line: longer than 131072 bytes"}},
		{"a line of ten megabytes", strings.Repeat("x", 10<<20) + "\n" + visit(1), "1(0)/1/0 of 2", []string{"line 1: line: longer than 131072 bytes"}},
		{"ten megabytes of spaces", strings.Repeat(" ", 10<<20) + "\n" + visit(1), "1(0)/1/0 of 2", []string{"line 1: line: longer than 131072 bytes"}},
		{"binary rubbish", visit(1) + "\n" + string(rubbish) + "\n" + visit(2), "2(0)/1/0 of 3", []string{"line 2: line: not UTF-8"}},
		{"zero bytes, as after a crash", visit(1) + "\n" + strings.Repeat("\x00", 4096), "1(0)/1/0 of 2", []string{"line 2: line: not JSON"}},
		{"another site's page", strings.Replace(visit(1), "https://news", "https://shop", 1), "0(0)/1/0 of 1", []string{"line 1: page: not a page of news.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := mustRun(t, options(t, realSpool(t)), c.text)
			if got := counts(sum); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			if len(sum.Rejections) != len(c.rejected) {
				t.Fatalf("rejections %v, want %q", sum.Rejections, c.rejected)
			}
			for i, want := range c.rejected {
				if got := sum.Rejections[i].String(); !strings.HasPrefix(got, want) {
					t.Errorf("rejection %q, want %q", got, want)
				}
			}
		})
	}
}

func TestTheSameFileTwiceAddsNothing(t *testing.T) {
	s := realSpool(t)
	text := file(0, 3000)
	if got := counts(mustRun(t, options(t, s), text)); got != "3000(0)/0/0 of 3000" {
		t.Fatalf("first: %s", got)
	}
	rows := s.Stats().Rows
	if got := counts(mustRun(t, options(t, s), text)); got != "0(0)/0/3000 of 3000" {
		t.Errorf("second: %s", got)
	}
	if got := counts(mustRun(t, options(t, s), text+file(3000, 3010))); got != "10(0)/0/3000 of 3010" {
		t.Errorf("grown: %s", got)
	}
	if got := s.Stats().Rows; rows != 3000 || got != 3010 {
		t.Errorf("%d rows, then %d, want 3000, then 3010", rows, got)
	}
}

func TestShuffledFileIsTakenAsItStands(t *testing.T) {
	lines := strings.SplitAfter(file(0, 2500), "\n")
	lines = lines[:2500]
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	m := &memory{}
	o := options(t, m)
	o.ChunkLines = 7 // many chunks, and halves of unequal size
	mustRun(t, o, strings.Join(lines, ""))
	for i, l := range m.lines {
		if want := identity([]byte(strings.TrimSuffix(lines[i], "\n"))); l.Identity != want {
			t.Fatalf("line %d is not the file's", i+1)
		}
		if l.Day != int32(l.Events[0].Received/86_400_000) {
			t.Fatalf("line %d: day %d of %d", i+1, l.Day, l.Events[0].Received)
		}
	}
	if len(m.lines) != 2500 {
		t.Errorf("%d lines, want 2500", len(m.lines))
	}
}

// A link is known from its birth on, though two workers read the lines.
func TestLinksAreKnownFromTheirBirthOn(t *testing.T) {
	birth := func(n int) string {
		return `{"time":"2026-10-01T10:00:00Z","new_link":{"token":"` + tok(n) + `","site":"news.example","page":"https://news.example/a"}}` + "\n"
	}
	get := func(n int) string {
		return `{"time":"2026-10-01T10:00:00Z","ip":"203.0.113.7","agent":"Mozilla/5.0","link":"` + tok(n) + `"}` + "\n"
	}
	for _, size := range []int{1, 2, 3, 100} {
		o := options(t, realSpool(t))
		o.ChunkLines = size
		sum := mustRun(t, o, get(1)+birth(1)+get(1)+birth(2)+get(2)+get(3))
		if got := counts(sum); got != "4(0)/2/0 of 6" {
			t.Errorf("chunks of %d: %s", size, got)
		}
		var lines []int64
		for _, r := range sum.Rejections {
			lines = append(lines, r.Line)
		}
		if !slices.Equal(lines, []int64{1, 6}) {
			t.Errorf("chunks of %d: rejected %v, want 1 and 6", size, sum.Rejections)
		}
	}
}

func TestRejectionsAreNamedAndCounted(t *testing.T) {
	var b strings.Builder
	for n := range 100 {
		b.WriteString(strings.Replace(visit(n), "https://news", "https://shop", 1) + "\n")
		b.WriteString(visit(n)[:40+n%20] + "\n")
		b.WriteString(strings.Replace(visit(n), `[{"type":"view","age":0}`, strings.Repeat(`{"type":"ask","age":0},`, n%5)+`{"type":"view"}`, 1) + "\n")
	}
	sum := mustRun(t, options(t, realSpool(t)), b.String())
	if sum.Rejected != 300 || len(sum.Rejections) != MaxRejections {
		t.Errorf("%d rejected, %d named, want 300, %d", sum.Rejected, len(sum.Rejections), MaxRejections)
	}
	for i, r := range sum.Rejections {
		if r.Line != int64(i+1) {
			t.Errorf("rejection %d is of line %d", i, r.Line)
		}
	}
	var all int64
	for _, r := range sum.Reasons {
		all += r.Lines
	}
	// Where the JSON broke, and in which event, makes no reason of its own.
	if all != 300 || len(sum.Reasons) > 6 {
		t.Errorf("reasons %v: %d lines", sum.Reasons, all)
	}
	if !slices.Contains(sum.Reasons, Reason{"page", "not a page of news.example", 100}) {
		t.Errorf("reasons %v", sum.Reasons)
	}
}

// Ten thousand lines need no more memory than the chunks under way.
func TestMemoryIsConstant(t *testing.T) {
	const lines, size = 10_000, 100
	longest := len(visit(lines))
	r, w := io.Pipe()
	written := make(chan error, 1)
	var read atomic.Int64
	go func() {
		var err error
		for n := 0; n < lines && err == nil; n++ {
			_, err = io.WriteString(w, visit(n)+"\n")
		}
		written <- errors.Join(err, w.Close())
	}()
	m := &memory{}
	o := options(t, m)
	o.ChunkLines = size
	var settled, most int64
	o.Progress = func(p Progress) { settled = p.Bytes }
	m.before = func([]spool.Line) error {
		most = max(most, read.Load()-settled)
		m.lines = nil
		return nil
	}
	sum, err := Run(t.Context(), counting{r, &read}, o)
	if err := errors.Join(err, <-written); err != nil {
		t.Fatal(err)
	}
	// One chunk in the store, one waiting, one being read, and the reader's buffer.
	if limit := int64(3*size*(longest+1) + 64<<10); most > limit {
		t.Errorf("%d bytes were held at once, want %d at most", most, limit)
	}
	if got := counts(sum); got != "10000(0)/0/0 of 10000" {
		t.Error(got)
	}
}

type counting struct {
	io.Reader
	n *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func TestManyEventsAreSeveralCommits(t *testing.T) {
	events := strings.TrimSuffix(strings.Repeat(`{"type":"ask","age":0},`, 64), ",")
	var b strings.Builder
	for n := range 200 {
		b.WriteString(strings.Replace(visit(n), `{"type":"view","age":0}`, events, 1) + "\n")
	}
	m := &memory{}
	var sizes []int
	m.before = func(lines []spool.Line) error {
		n := 0
		for _, l := range lines {
			n += len(l.Events)
		}
		sizes = append(sizes, n)
		return nil
	}
	sum := mustRun(t, options(t, m), b.String())
	if !slices.Equal(sizes, []int{4096, 4096, 4096, 512}) || sum.Events != 12800 || sum.Taken != 200 {
		t.Errorf("commits of %v, %d events of %d lines", sizes, sum.Events, sum.Taken)
	}
}
