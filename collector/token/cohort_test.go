package token

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCyrb53IsBrycs(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
	}{
		{"a", 7929297801672961}, // contract, section 2
		{"b", 8684336938537663}, // the two examples at the foot of bryc's file
		{"revenge", 4051478007546757},
		{"revenue", 8309097637345594},
	} {
		h := newCyrb53()
		h.text(c.text)
		if got := h.sum(); got != c.want {
			t.Errorf("cyrb53(%q) = %d, want %d", c.text, got, c.want)
		}
	}
}

func TestCohortVectors(t *testing.T) {
	for _, v := range vectors(t, "cohorts.tsv") {
		t.Run(v["case"], func(t *testing.T) {
			hour, err := strconv.ParseInt(v["hour"], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			generation, err := strconv.Atoi(v["generation"])
			if err != nil {
				t.Fatal(err)
			}
			got := Cohort(v["site"], v["page"], hour, generation)
			if got != v["token"] {
				t.Errorf("Cohort = %q, want %q", got, v["token"])
			}
			if !Valid(got) || Minutes(got) != hour*60 {
				t.Errorf("%q: valid %v, minutes %d, want true, %d", got, Valid(got), Minutes(got), hour*60)
			}
			if g, ok := Generation(v["site"], v["page"], v["token"]); g != generation || !ok {
				t.Errorf("Generation = %d, %v, want %d, true", g, ok, generation)
			}
		})
	}
}

func TestGenerationKnowsOnlyItsOwn(t *testing.T) {
	const page = "https://news.example/a"
	tok := Cohort("news.example", page, 6564, 3)
	for name, c := range map[string][3]string{
		"another site":               {"shop.example", page, tok},
		"another page":               {"news.example", page + "b", tok},
		"the hour after":             {"news.example", page, New(Time(tok).Add(time.Hour), digits(tok[4:10]))},
		"a minute inside the hour":   {"news.example", page, New(Time(tok).Add(time.Minute), digits(tok[4:10]))},
		"a reader's token":           {"news.example", page, New(Time(tok), [6]byte{1, 2, 3, 4, 5, 6})},
		"a wrong check character":    {"news.example", page, tok[:10] + string(Alphabet[(index[tok[10]]+1)%62])},
		"a token with a tail":        {"news.example", page, tok + "0"},
		"nothing":                    {"news.example", page, ""},
		"something that is no token": {"news.example", page, "comments---"},
	} {
		if g, ok := Generation(c[0], c[1], c[2]); ok || g != 0 {
			t.Errorf("%s: generation %d, %v, want none", name, g, ok)
		}
	}
}

func TestNextGeneration(t *testing.T) {
	const site, page = "news.example", "https://news.example/a"
	opened := Epoch.Add(6570*time.Hour + 25*time.Minute)
	for _, c := range []struct {
		name     string
		parent   string
		returned bool
		want     int
	}{
		{"no parent", "", false, 0},
		{"a parent of generation 0", Cohort(site, page, 6564, 0), false, 1},
		{"a parent of generation 8", Cohort(site, page, 6564, 8), false, 9},
		{"a parent of generation 9", Cohort(site, page, 6564, 9), false, 9},
		{"back in generation 4", Cohort(site, page, 6564, 4), true, 4},
		{"back without a parent", "", true, 0},
		{"a parent of another page", Cohort(site, page+"b", 6564, 4), false, 0},
		{"a reader's token", New(opened, [6]byte{1, 2, 3, 4, 5, 6}), false, 0},
		{"the same page with a query", Cohort(site, page+"?utm_source=x", 6564, 2), false, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			tok, g := Next(site, page, c.parent, opened, c.returned)
			if g != c.want || tok != Cohort(site, page, 6570, c.want) {
				t.Errorf("Next = %q, %d, want %q, %d", tok, g, Cohort(site, page, 6570, c.want), c.want)
			}
		})
	}
}

func TestCohortComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		site, page := rapid.String().Draw(t, "site"), rapid.String().Draw(t, "page")
		hour := rapid.Int64Range(0, lastMinute/60).Draw(t, "hour")
		want := rapid.IntRange(0, LastGeneration).Draw(t, "generation")
		tok := Cohort(site, page, hour, want)
		if got, ok := Generation(site, page, tok); got != want || !ok {
			t.Fatalf("Generation(%q) = %d, %v, want %d", tok, got, ok, want)
		}
		bare := page
		if i := strings.IndexAny(bare, "?#"); i >= 0 {
			bare = bare[:i]
		}
		if Cohort(site, bare+"?a=1#b", hour, want) != tok {
			t.Fatalf("query and fragment count in %q", page)
		}
	})
}

func BenchmarkGeneration(b *testing.B) {
	const page = "https://news.example/2026/10/a-long-enough-headline-of-a-story"
	tok := Cohort("news.example", page, 6564, 9)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Generation("news.example", page, tok); !ok {
			b.Fatal()
		}
	}
}
