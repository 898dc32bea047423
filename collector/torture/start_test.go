package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Of several collectors that start at once on one data directory one takes
// beacons. The others say who has it, end with an error, and have harmed
// nothing.
func TestTwoStartsAtOnce(t *testing.T) {
	t.Parallel()
	n := seed(t)
	r := chance(n, 6)
	w := newWorld(t, n)
	for round := range at(t, 2, 10, 60) {
		all := make([]*collector, 2+r.IntN(3))
		for i := range all {
			all[i] = start(t, w.setup)
		}
		winner := -1
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			losers := 0
			for i, c := range all {
				if c.gone() {
					losers++
				} else if c.log.count("taking beacons") > 0 {
					winner = i
				}
			}
			if winner >= 0 && losers == len(all)-1 {
				break
			}
			if losers == len(all) || time.Now().After(end) {
				for _, c := range all {
					t.Log(c.log.tail(20))
				}
				t.Fatalf("round %d: of %d starts %d ended", round, len(all), losers)
			}
		}
		for i, c := range all {
			if i == winner {
				continue
			}
			// Whose it is stands in the lock a moment after it is taken.
			said := c.log.tail(3)
			_, who, named := strings.Cut(said, "in use by process ")
			if c.err == nil || !strings.Contains(said, "in use by ") || named && !strings.HasPrefix(who, strconv.Itoa(all[winner].pid())+";") {
				t.Errorf("round %d: process %d has it; a second collector ended with %v and said %q", round, all[winner].pid(), c.err, said)
			}
		}
		c := all[winner].found()
		w.now.Store(c)
		w.send(30, 4)
		w.check()
		if t.Failed() {
			t.FailNow()
		}
		c.kill()
	}
}

// What an older version has spooled, and could not load because ClickHouse was
// away, a newer one loads.
func TestUpgradeWithAFullSpool(t *testing.T) {
	t.Parallel()
	n := seed(t)
	w := newWorld(t, n)
	now := w.setup
	w.setup.args = append(w.setup.args[:len(w.setup.args):len(w.setup.args)], "--clickhouse", closedDoor(t, "clickhouse://nobody@127.0.0.1:1/passalong").dsn)
	if depth(t) > quick { // else it is a start of the same version
		w.setup.binary = older(t)
	}
	c := w.serve()
	w.send(at(t, 300, 20_000, 100_000), 8)
	if rows := c.figures()["passalong_spool_rows"]; rows < 300 {
		t.Fatalf("%v rows wait", rows)
	}
	c.kill()
	w.setup = now
	c = w.serve()
	w.send(100, 4)
	w.check()
	c.stop()
}

// older builds a version before this one: the last release, else the first
// commit that makes a collector.
func older(t testing.TB) string {
	t.Helper()
	git := func(args ...string) []string {
		out, err := exec.Command("git", args...).Output()
		if err != nil {
			return nil
		}
		return strings.Fields(string(out))
	}
	commits := git("describe", "--tags", "--abbrev=0", "HEAD^")
	if len(commits) == 0 {
		commits = git("rev-list", "--reverse", "HEAD", "--", "../cmd/passalong")
	}
	for _, commit := range commits {
		to, err := buildCommit(t.TempDir(), commit)
		if err == nil {
			t.Logf("the older version is %s", commit)
			return to
		}
		t.Logf("%s is no older version: it cannot be built", commit)
	}
	t.Skip("SKIPPED: this tree has no history, so there is no older version to come from")
	return ""
}

func buildCommit(dir, commit string) (string, error) {
	archive, tree := filepath.Join(dir, "tree.tar"), filepath.Join(dir, "tree")
	if out, err := exec.Command("git", "-C", "../..", "archive", "-o", archive, commit).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git archive: %w: %s", err, out)
	}
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", err
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", tree).CombinedOutput(); err != nil {
		return "", fmt.Errorf("tar: %w: %s", err, out)
	}
	to := filepath.Join(dir, "passalong")
	return to, build(to, filepath.Join(tree, "collector"))
}
