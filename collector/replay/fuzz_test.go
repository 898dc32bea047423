package replay

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/passalong/passalong/collector/spool"
)

// Whatever the bytes: every line that is not blank is taken, rejected or a
// duplicate, and reading by small pieces changes nothing.
func FuzzRun(f *testing.F) {
	f.Add([]byte(file(0, 3)), uint8(2))
	f.Add([]byte(visit(1)+"\r\n\r\n"+visit(1)), uint8(1))
	f.Add([]byte("\ufeff\n{}\n\x00\xff"), uint8(0))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		m := &memory{}
		o := options(t, m)
		o.ChunkLines = int(size%50) + 1
		sum, err := Run(t.Context(), bytes.NewReader(text), o)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Count(text, []byte("\n"))
		if len(text) > 0 && text[len(text)-1] != '\n' {
			lines++
		}
		if sum.Lines != int64(lines) || sum.Bytes != int64(len(text)) || sum.Taken+sum.Rejected+sum.Duplicate > sum.Lines {
			t.Fatalf("%s, %d bytes, want %d lines, %d bytes", counts(sum), sum.Bytes, lines, len(text))
		}
		if int64(len(m.lines)) != sum.Taken-sum.Skipped {
			t.Fatalf("%d appended, %s", len(m.lines), counts(sum))
		}
		o.Import = options(t, m).Import
		again, err := Run(t.Context(), iotest.OneByteReader(bytes.NewReader(text)), o)
		if err != nil {
			t.Fatal(err)
		}
		if again.Duplicate != sum.Taken-sum.Skipped+sum.Duplicate || again.Rejected != sum.Rejected || again.Skipped != sum.Skipped {
			t.Fatalf("first %s, again %s", counts(sum), counts(again))
		}
	})
}

// The whole way but the disk, a line of one page view.
func BenchmarkRun(b *testing.B) {
	text := file(0, 20000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		m := &memory{before: func([]spool.Line) error { return nil }}
		if _, err := Run(b.Context(), strings.NewReader(text), options(b, m)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*20000/b.Elapsed().Seconds(), "lines/s")
}
