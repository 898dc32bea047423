package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/token"
)

// The main job: three Chromium profiles with three user agents hand one
// article on. The views say who passed it to whom, over which generation, and
// that GA4 would have said Direct.
func TestThreeReadersHandOneArticleOn(t *testing.T) {
	s := serve(t, t.TempDir(), "--site", "localhost=localhost,127.0.0.1", "--pages", "../../../docs/examples/pages")
	cmd := exec.Command("node", "three-readers.mjs", s.address+"/pages/article.html")
	cmd.Dir = "../../../snippet/test"
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the readers' browsers: %v\n%s\n%s", err, out, s.log)
	}
	t.Logf("\n%s", out)
	type visit struct{ Reader, Opened, Shows string }
	var visits []visit
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var v visit
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		visits = append(visits, v)
	}
	if len(visits) != 4 {
		t.Fatalf("%d visits, want Ada, Ben, Cleo, and Cleo again", len(visits))
	}
	tokens := make([]string, 4)
	for i, v := range visits {
		_, fragment, _ := strings.Cut(v.Shows, "#")
		_, tokens[i] = token.Cut(fragment)
		if tokens[i] == "" {
			t.Fatalf("%s's address bar shows %s, which has no token", v.Reader, v.Shows)
		}
	}
	s.await(t, "select count() from nodes", "count()\n4\n")

	ada, ben, cleo, again := tokens[0], tokens[1], tokens[2], tokens[3]
	want := "token\tparent\torigin\tdepth\treturn\n" +
		ada + "\t\t" + ada + "\t0\t0\n" +
		ben + "\t" + ada + "\t" + ada + "\t1\t0\n" +
		cleo + "\t" + ben + "\t" + ada + "\t2\t0\n" +
		again + "\t" + cleo + "\t" + ada + "\t2\t1\n"
	if got := s.sql(t, "select token, parent, origin, depth, return from nodes order by time, token"); got != want {
		t.Errorf("who passed it to whom:\n%s\nwant\n%s", got, want)
	}
	want = "generation\tga4_channel\tsource\tmethod\taudience\tsharer\n" +
		"0\tDirect\tdirect\tpattern\t\t\n" +
		"1\tDirect\tdark_social\ttoken\tprivate\t" + ada + "\n" +
		"2\tDirect\tdark_social\ttoken\tprivate\t" + ben + "\n"
	if got := s.sql(t, "select depth as generation, ga4_channel, source, method, audience, sharer from attribution order by depth"); got != want {
		t.Errorf("where it came from:\n%s\nwant\n%s", got, want)
	}
	want = "size\tdepth\tbreadth\n3\t2\t1\n"
	if got := s.sql(t, "select size, depth, breadth from trees"); got != want {
		t.Errorf("the tree:\n%s\nwant\n%s", got, want)
	}
	t.Logf("\n%s", s.sql(t, "select depth as generation, ga4_channel, source, round(confidence, 2) as confidence, sharer, origin from attribution order by depth"))
}

// await asks until the answer is the wanted one; it fails after 20 s.
func (s *served) await(t testing.TB, query, want string) {
	t.Helper()
	got := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if got = s.sql(t, query); got == want {
			return
		}
	}
	t.Fatalf("%s: got\n%s\nwant\n%s\n%s", query, got, want, s.log)
}

// What was answered 204 is in the tables once, whatever happened in between.
func TestKilledAfterTheAnswer(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, "--site", "news.example")
	now := time.Now()
	first := mint(now, 1)
	second := mint(now, 2)
	if code := s.send(t, phone, view("https://news.example/a/b", first, "")); code != 204 {
		t.Fatalf("first: %d", code)
	}
	if code := s.send(t, phone+" x", view("https://news.example/a/b", second, first)); code != 204 {
		t.Fatalf("second: %d", code)
	}
	s.kill(t)
	s = serve(t, dir, "--site", "news.example")
	s.await(t, "select count(), uniqExact(batch, row) from events", "count()\tuniqExact(batch, row)\n2\t2\n")
	s.await(t, "select depth, count() from nodes group by depth order by depth", "depth\tcount()\n0\t1\n1\t1\n")
	s.stop(t)
	if got := output(t, "sql", "--data-dir", dir, "select count() from events"); got != "count()\n2\n" {
		t.Errorf("after an orderly stop, without serve: got %q", got)
	}
}

// mint makes a token of this minute that is the n-th of its test.
func mint(at time.Time, n byte) string {
	return token.New(at, [6]byte{0, 0, 0, 0, 0, n})
}
