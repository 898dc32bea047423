package spool

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
)

func line(n byte, day int32, events int) Line {
	l := Line{Identity: [16]byte{n}, Day: day}
	if events > 0 {
		l.Events = beacon(fmt.Sprint("line", n), events)
	}
	return l
}

func TestALineIsStoredOnce(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	steps := []struct {
		name  string
		lines []Line
		want  []bool
	}{
		{"new lines", []Line{line(1, 10, 1), line(2, 10, 2)}, []bool{false, false}},
		{"a line doubled in the file", []Line{line(3, 10, 1), line(3, 10, 1)}, []bool{false, true}},
		{"a line of an earlier import between new ones", []Line{line(4, 10, 1), line(2, 10, 2), line(5, 10, 0)}, []bool{false, true, false}},
		{"a line that was not kept, for privacy", []Line{line(5, 10, 0)}, []bool{true}},
		{"the whole file again", []Line{line(1, 10, 1), line(2, 10, 2), line(3, 10, 1), line(4, 10, 1), line(5, 10, 0)}, []bool{true, true, true, true, true}},
		{"nothing", nil, []bool{}},
	}
	for _, step := range steps {
		got, err := s.AppendLines(t.Context(), step.lines)
		if err != nil || !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: got %v, %v, want %v", step.name, got, err, step.want)
		}
		s, fs = reopen(t, fs) // identity and events survive a power cut together
	}
	if got, want := names(rest(t, s)), "line1/0 line2/0 line2/1 line3/0 line4/0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestForgottenLinesMayComeAgain(t *testing.T) {
	s := open(t, in(memory(t)))
	if _, err := s.AppendLines(t.Context(), []Line{line(1, -3, 0), line(2, 19, 0), line(3, 20, 0), line(4, 21, 0)}); err != nil {
		t.Fatal(err)
	}
	must(t, s.Forget(20))
	got, err := s.AppendLines(t.Context(), []Line{line(1, 30, 0), line(2, 30, 0), line(3, 30, 0), line(4, 30, 0)})
	if want := []bool{false, false, true, true}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	must(t, s.Forget(31)) // in the order of their days, also those that came again
	got, err = s.AppendLines(t.Context(), []Line{line(1, 31, 0), line(4, 31, 0)})
	if want := []bool{false, false}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestForgetGoesInSteps(t *testing.T) {
	s := open(t, in(memory(t)))
	lines := make([]Line, 5000)
	for i := range lines {
		lines[i] = Line{Identity: [16]byte{byte(i), byte(i >> 8)}, Day: int32(i % 7)}
	}
	_, err := s.AppendLines(t.Context(), lines)
	must(t, err)
	must(t, s.Forget(100))
	duplicate, err := s.AppendLines(t.Context(), lines)
	must(t, err)
	for i, d := range duplicate {
		if d {
			t.Fatalf("line %d is still known", i)
		}
	}
}

func TestLinesOfMoreThanOneGroupAreOneCommit(t *testing.T) {
	fs := memory(t)
	s := open(t, in(fs))
	lines := make([]Line, 100)
	for i := range lines {
		lines[i] = line(byte(i), 1, 64)
	}
	_, err := s.AppendLines(t.Context(), lines)
	must(t, err)
	if st := s.Stats(); st.Groups != 2 || st.Events != 6400 {
		t.Errorf("got %d groups of %d events, want 2 of 6400", st.Groups, st.Events)
	}
	s, _ = reopen(t, fs)
	events := rest(t, s)
	for i, e := range events {
		if want := fmt.Sprintf("line%d/%d", i/64, i%64); name(e) != want {
			t.Fatalf("row %d is %s, want %s", i, name(e), want)
		}
	}
	if len(events) != 6400 {
		t.Errorf("got %d events", len(events))
	}
}

func TestTwoImportsOfTheSameFileStoreItOnce(t *testing.T) {
	s := open(t, in(memory(t)))
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				duplicate, err := s.AppendLines(context.Background(), []Line{line(byte(i), 1, 1)})
				if err != nil {
					t.Error(err)
					return
				}
				if !duplicate[0] {
					mu.Lock()
					taken++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if got := len(rest(t, s)); taken != 50 || got != 50 {
		t.Errorf("50 lines were told new %d times and stored %d times", taken, got)
	}
}

func TestAnImportLeavesRoomForReaders(t *testing.T) {
	o := in(memory(t))
	o.Limit = 10_000
	s := open(t, o)
	var err error
	n := byte(0)
	for ; err == nil && n < 200; n++ {
		_, err = s.AppendLines(t.Context(), []Line{line(n, 1, 1)})
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want %v", err, ErrFull)
	}
	mustAppend(t, s, "reader", 1)
}
