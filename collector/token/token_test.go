package token

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"
)

// vectors reads a shared table: one header line, then a row of named fields a
// line, tab-separated.
func vectors(t testing.TB, file string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	head := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for i, l := range lines[1:] {
		fields := strings.Split(l, "\t")
		if len(fields) != len(head) {
			t.Fatalf("%s line %d: %d fields, want %d", file, i+2, len(fields), len(head))
		}
		row := map[string]string{}
		for j, f := range fields {
			row[head[j]] = f
		}
		rows = append(rows, row)
	}
	if len(rows) < 10 {
		t.Fatalf("%s: only %d rows", file, len(rows))
	}
	return rows
}

func TestTokenVectors(t *testing.T) {
	for _, v := range vectors(t, "tokens.tsv") {
		t.Run(v["case"], func(t *testing.T) {
			tok := v["token"]
			if got, want := Valid(tok), v["valid"] == "true"; got != want {
				t.Fatalf("Valid(%q) = %v, want %v", tok, got, want)
			}
			if v["valid"] != "true" {
				return
			}
			if got := strconv.FormatInt(Minutes(tok), 10); got != v["minutes"] {
				t.Errorf("Minutes(%q) = %s, want %s", tok, got, v["minutes"])
			}
			if v["at"] == "" {
				return
			}
			at, err := time.Parse(time.RFC3339, v["at"])
			if err != nil {
				t.Fatal(err)
			}
			if got := New(at, digits(v["digits"])); got != tok {
				t.Errorf("New(%s, %s) = %q, want %q", v["at"], v["digits"], got, tok)
			}
			if m := at.Truncate(time.Minute); !at.Before(Epoch) && m.Year() < 2054 && !Time(tok).Equal(m) {
				t.Errorf("Time(%q) = %s, want %s", tok, Time(tok), m)
			}
		})
	}
}

// The rows of the table that were made at a time stand in order of it; within
// a minute the digits of chance decide, which is no order of time.
func TestVectorsStandInOrder(t *testing.T) {
	last := ""
	for _, v := range vectors(t, "tokens.tsv") {
		if v["at"] == "" {
			continue
		}
		if last != "" && last[:timeLength] != v["token"][:timeLength] && v["token"] < last {
			t.Errorf("%s: %q stands before %q", v["case"], v["token"], last)
		}
		last = v["token"]
	}
}

func TestFragmentVectors(t *testing.T) {
	for _, v := range vectors(t, "fragments.tsv") {
		t.Run(v["case"], func(t *testing.T) {
			rest, tok := Cut(v["fragment"])
			if rest != v["rest"] || tok != v["token"] {
				t.Errorf("Cut(%q) = %q, %q, want %q, %q", v["fragment"], rest, tok, v["rest"], v["token"])
			}
		})
	}
}

func TestTextOrderIsTimeOrder(t *testing.T) {
	at := rapid.Int64Range(Epoch.Unix(), Epoch.Unix()+lastMinute*60)
	rapid.Check(t, func(t *rapid.T) {
		a, b := at.Draw(t, "a"), at.Draw(t, "b")
		x, y := New(time.Unix(a, 0), drawDigits(t)), New(time.Unix(b, 0), drawDigits(t))
		if Minutes(x) < Minutes(y) != (a/60 < b/60) {
			t.Fatalf("minutes of %q and %q do not follow %d and %d", x, y, a, b)
		}
		if a/60 < b/60 && x >= y {
			t.Fatalf("%q of %d does not stand before %q of %d", x, a, y, b)
		}
	})
}

// What the package doc says of the check character, tried on every place and
// every wrong character: it misses a change of 31 at an even place and nothing
// else.
func TestCheckCatchesSingleChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		good := New(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0), drawDigits(t))
		if !Valid(good) {
			t.Fatalf("%q does not verify", good)
		}
		for i := range good {
			for d := 1; d < 62; d++ {
				wrong := []byte(good)
				wrong[i] = Alphabet[(int(index[good[i]])+d)%62]
				missed := i < bodyLength && (i+1)%2 == 0 && d == 31
				if Valid(string(wrong)) != missed {
					t.Fatalf("%q for %q: verifies %v, want %v", wrong, good, !missed, missed)
				}
			}
		}
	})
}

func TestCheckCatchesSwappedNeighbours(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		good := New(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0), drawDigits(t))
		for i := range bodyLength - 1 {
			wrong := []byte(good)
			wrong[i], wrong[i+1] = wrong[i+1], wrong[i]
			if string(wrong) != good && Valid(string(wrong)) {
				t.Fatalf("%q for %q verifies", wrong, good)
			}
		}
	})
}

func TestMinutesOfWhatIsNoToken(t *testing.T) {
	for _, s := range []string{"", "000", "00-0", "é000000000"} {
		if got := Minutes(s); got != -1 {
			t.Errorf("Minutes(%q) = %d, want -1", s, got)
		}
		if got := Time(s); !got.IsZero() {
			t.Errorf("Time(%q) = %s, want the zero time", s, got)
		}
	}
}

func TestRandomHasNoBias(t *testing.T) {
	// Every byte value once leaves each digit four times when 248 to 255 are
	// refused. 248 digits are no whole number of tokens; six times as many are.
	var all []byte
	for range 6 {
		for b := range 256 {
			all = append(all, byte(b))
		}
	}
	r := bytes.NewReader(all)
	count := map[byte]int{}
	for range 248 {
		tok, err := Random(Epoch, iotest.OneByteReader(r))
		if err != nil {
			t.Fatal(err)
		}
		if !Valid(tok) {
			t.Fatalf("%q does not verify", tok)
		}
		for _, c := range []byte(tok[4:10]) {
			count[c]++
		}
	}
	for _, c := range []byte(Alphabet) {
		if count[c] != 24 {
			t.Errorf("digit %c stands %d times, want 24", c, count[c])
		}
	}
}

func TestRandomSaysWhenChanceEnds(t *testing.T) {
	_, err := Random(Epoch, bytes.NewReader([]byte{1, 2, 3, 255, 255}))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "draw token: ") {
		t.Errorf("error %v", err)
	}
}

func FuzzCut(f *testing.F) {
	f.Add("")
	f.Add("comments.0Kd3hP9aQzT")
	for _, v := range vectors(f, "fragments.tsv") {
		f.Add(v["fragment"])
	}
	f.Fuzz(func(t *testing.T, fragment string) {
		rest, tok := Cut(fragment)
		if tok == "" {
			if rest != fragment {
				t.Fatalf("nothing cut, but %q became %q", fragment, rest)
			}
			return
		}
		if !Valid(tok) || rest+"."+tok != fragment {
			t.Fatalf("Cut(%q) = %q, %q", fragment, rest, tok)
		}
	})
}

func FuzzValid(f *testing.F) {
	for _, v := range vectors(f, "tokens.tsv") {
		f.Add(v["token"])
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := Minutes(s)
		if m < -1 || m > lastMinute {
			t.Fatalf("Minutes(%q) = %d", s, m)
		}
		if !Valid(s) {
			return
		}
		// A valid token is what New makes of its parts.
		if got := New(Time(s), digits(s[4:10])); got != s {
			t.Fatalf("%q is valid, but made anew it is %q", s, got)
		}
	})
}

func drawDigits(t *rapid.T) (d [6]byte) {
	for i := range d {
		d[i] = rapid.ByteRange(0, 61).Draw(t, "digit")
	}
	return d
}

func digits(s string) (d [6]byte) {
	for i := range d {
		d[i] = index[s[i]]
	}
	return d
}

func BenchmarkValid(b *testing.B) {
	tok := New(Epoch, [6]byte{1, 2, 3, 4, 5, 6})
	for b.Loop() {
		if !Valid(tok) {
			b.Fatal()
		}
	}
}
