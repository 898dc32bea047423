package schema

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/channel"
)

func TestFactsAreInOrder(t *testing.T) {
	f, err := readFacts()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		table table
		keys  int // columns that make a line unique
	}{{f.channels, 1}, {f.clickids, 1}, {f.ga4, 2}, {f.priors, 1}} {
		for _, problem := range problems(c.table, c.keys) {
			t.Error(problem)
		}
	}
}

// problems checks what holds for every table: sorted, no line twice, each with
// where it is from and when.
func problems(t table, keys int) (found []string) {
	at := func(i int, problem string) { found = append(found, t.name+":"+strconv.Itoa(i+2)+": "+problem) }
	n := len(t.columns)
	if n < 3 || t.columns[n-2] != "source" || t.columns[n-1] != "date" {
		return []string{t.name + ":1: the last columns are not source and date"}
	}
	for i, row := range t.rows {
		key := strings.Join(row[:keys], "\t")
		if i > 0 {
			switch last := strings.Join(t.rows[i-1][:keys], "\t"); {
			case key == last:
				at(i, "stands twice")
			case key < last:
				at(i, "is not in order")
			}
		}
		if row[n-2] == "" || row[n-1] == "" {
			at(i, "has no source or date")
		}
	}
	return found
}

func TestCheckerFindsBadTables(t *testing.T) {
	for name, text := range map[string]string{
		"stands twice":         "a\tsource\tdate\nx\ts\td\nx\ts\td\n",
		"is not in order":      "a\tsource\tdate\nx\ts\td\nb\ts\td\n",
		"has no source":        "a\tsource\tdate\nx\t\td\n",
		"last columns are not": "a\tb\tc\nx\ty\tz\n",
	} {
		table, err := readTable("bad.tsv", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := problems(table, 1); len(got) != 1 || !strings.Contains(got[0], name) {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if _, err := readTable("bad.tsv", "a\tb\nx\n"); err == nil || !strings.Contains(err.Error(), "bad.tsv:2") {
		t.Errorf("a short line: got %v", err)
	}
}

func TestEveryChannelHasAPrior(t *testing.T) {
	f, err := readFacts()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, row := range f.channels.rows {
		have = append(have, row[0])
		p, err := strconv.ParseFloat(row[2], 64)
		if err != nil || p < 0 || p > 1 || (row[1] == "private") != (p == 1) || !slices.Contains([]string{"private", "feed", "mail"}, row[1]) {
			t.Errorf("%s: class %s with prior %s", row[0], row[1], row[2])
		}
	}
	if want := channel.All(); !slices.Equal(have, want) {
		t.Errorf("channels with a prior: %v\nchannels: %v", have, want)
	}
	var rest float64
	for _, row := range f.priors.rows {
		if strings.HasPrefix(row[0], "rest_") {
			p, _ := strconv.ParseFloat(row[1], 64)
			rest += p
		}
	}
	if rest < 1-1e-12 || rest > 1+1e-12 {
		t.Errorf("what is not dark is spread over %v, not 1", rest)
	}
}

// The collector's table of click ids says what each is; here stands what that
// means for a visit. A tracker's own id means nothing.
func TestEveryClickIDHasASource(t *testing.T) {
	f, err := readFacts()
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]string{}
	for _, row := range f.clickids.rows {
		here[row[0]] = row[1]
	}
	text, err := os.ReadFile("../collector/enrich/facts/clickids.tsv")
	if err != nil {
		t.Fatal(err)
	}
	means := map[string]string{"paid": "paid", "email": "email", "affiliate": "campaign", "shared": "social", "tracker": ""}
	there, err := readTable("collector/enrich/facts/clickids.tsv", string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range there.rows {
		if want := means[row[1]]; here[row[0]] != want {
			t.Errorf("%s is %s for the collector and %q here, want %q", row[0], row[1], here[row[0]], want)
		}
		delete(here, row[0])
	}
	for id := range here {
		t.Errorf("the collector does not know %s", id)
	}
}
