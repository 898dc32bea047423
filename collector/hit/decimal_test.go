package hit

import (
	"testing"
	"time"
)

func TestFractionsAreRounded(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		sent     string
		duration time.Duration // as age and visible
		count    uint32        // as width, chars, words and scroll
	}{
		{"12", 12 * ms, 12},
		{"12.7", 13 * ms, 13},
		{"12.5", 13 * ms, 13},
		{"12.49999999999999999999", 12 * ms, 12},
		{"5.0", 5 * ms, 5},
		{"1e1", 10 * ms, 10},
		{"1.26E+1", 13 * ms, 13},
		{"1250e-2", 13 * ms, 13},
		{"0.4", 0, 0},
		{"0.05", 0, 0},
		{"5e-1", ms, 1},
		{"1e-99999999999", 0, 0},
		{"99.5", 100 * ms, 100},
		{"0e9", 0, 0},
		{"-0.0", 0, 0},
	} {
		t.Run(c.sent, func(t *testing.T) {
			b, err := Decode(plain.with(fields{"width": c.sent, "events": `[
				{"type":"engage","age":` + c.sent + `,"visible":` + c.sent + `,"scroll":` + c.sent + `},
				{"type":"copy","age":0,"what":"text","chars":` + c.sent + `,"words":` + c.sent + `}]`}))
			if err != nil {
				t.Fatal(err)
			}
			engage, copied := b.Events[0], b.Events[1]
			if engage.Age != c.duration || engage.Visible != c.duration {
				t.Errorf("age %s, visible %s, want %s", engage.Age, engage.Visible, c.duration)
			}
			if engage.Scroll != c.count || copied.Chars != c.count || copied.Words != c.count || b.Width != c.count {
				t.Errorf("scroll %d, chars %d, words %d, width %d, want %d", engage.Scroll, copied.Chars, copied.Words, b.Width, c.count)
			}
		})
	}
}

func TestWidthIsCapped(t *testing.T) {
	for _, sent := range []string{"65535", "65535.2", "65536", "4294967296", "99999999999999999999", "1e400", "9223372036854775807.5"} {
		b, err := Decode(plain.with(fields{"width": sent}))
		if err != nil || b.Width != 65535 {
			t.Errorf("width %s: %v, error %v, want 65535", sent, b, err)
		}
	}
}

func TestWholeNumbersAreExact(t *testing.T) {
	for sent, want := range map[string]uint32{"5": 5, "5.0": 5, "1e3": 1000, "42949672950e-1": 4294967295, "0.0": 0} {
		b, err := Decode(plain.with(fields{"seq": sent}))
		if err != nil || b.Seq == nil || *b.Seq != want {
			t.Errorf("seq %s: error %v, want %d", sent, err, want)
		}
	}
}
