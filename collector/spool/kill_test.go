package spool

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
)

// appendUntilKilled is the child: sixteen writers append as fast as they can,
// and each says on standard output what was acknowledged, a line at a time.
func appendUntilKilled(dir string) {
	s, err := Open(Options{Dir: dir, Reserve: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := 0; ; i++ {
				b := beacon(fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i), 1+i%3)
				if err := s.Append(context.Background(), b); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				// One write: the line is in the pipe before the next event, whole.
				os.Stdout.WriteString(names(b) + "\n")
			}
		})
	}
	go func() { // the loader, so that marks and deletions are cut short as well
		for {
			b, err := s.Next(context.Background(), 200, 0)
			if err == nil {
				err = s.Done(b)
			}
			if err == nil {
				_, err = s.Read(b.Range)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}()
	writers.Wait()
}

func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir() + "/spool"
	acknowledged := map[string]bool{}
	rng := rand.New(rand.NewPCG(7, 7)) // how much each child may acknowledge before it is killed
	for round := range 6 {
		child := child(t, "append", dir)
		var complaints bytes.Buffer
		child.Stderr = &complaints
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())

		lines := bufio.NewScanner(out)
		for n := 50 + rng.IntN(1500); n > 0 && lines.Scan(); n-- {
			for _, n := range strings.Fields(lines.Text()) {
				acknowledged[n] = true
			}
		}
		must(t, child.Process.Kill())
		for lines.Scan() { // what was in the pipe was acknowledged too
			for _, n := range strings.Fields(lines.Text()) {
				acknowledged[n] = true
			}
		}
		_ = child.Wait() // killed: it has an error, which is the point
		if complaints.Len() > 0 {
			t.Fatalf("round %d: %s", round, &complaints)
		}

		s, err := Open(Options{Dir: dir, Reserve: 1 << 20})
		must(t, err)
		if st := s.Stats(); len(st.SetAside) > 0 {
			t.Fatalf("round %d: a kill was taken for damage: %v", round, st.SetAside)
		}
		stored := map[string]int{}
		b, err := s.Read(Range{0, s.Stats().NextRow}) // nothing was released
		must(t, err)
		all := events(t, b)
		for i, e := range all {
			stored[name(e)]++
			if e.Item > 0 && (i == 0 || all[i-1].View != e.View || all[i-1].Item != e.Item-1) {
				t.Fatalf("round %d: row %d is %s, after %s", round, i, name(e), name(all[i-1]))
			}
		}
		for n := range acknowledged {
			if stored[n] != 1 {
				t.Errorf("round %d: %s was acknowledged and is stored %d times", round, n, stored[n])
			}
		}
		for _, r := range s.Loaded() {
			if _, err := s.Read(r); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		mustClose(t, s)
	}
	t.Logf("%d events acknowledged over 6 kills", len(acknowledged))
}
