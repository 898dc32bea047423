//go:build linux

package yardstick

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// report is what all rounds of this run have measured. It is printed once, at
// the end: testing cuts what a benchmark says after ten lines.
var report figures

type figures struct {
	lines []*figure
	atEnd func()
}

// A figure is one line of the report.
type figure struct {
	name   string
	goal   string // as the line says it; empty: none
	holds  func(float64) bool
	values []float64
	load   []float64 // the generator's share of the processors when it was measured
}

// add notes a value; shares are the load generator's in the rounds that it is from.
func (f *figures) add(name string, value float64, shares ...float64) {
	i := slices.IndexFunc(f.lines, func(l *figure) bool { return l.name == name })
	if i < 0 {
		i = len(f.lines)
		f.lines = append(f.lines, &figure{name: name})
	}
	f.lines[i].values = append(f.lines[i].values, value)
	f.lines[i].load = append(f.lines[i].load, shares...)
}

func (f *figures) atLeast(name string, goal float64) { f.goal(name, "≥", goal, false) }
func (f *figures) atMost(name string, goal float64)  { f.goal(name, "≤", goal, true) }

func (f *figures) goal(name, sign string, goal float64, below bool) {
	for _, l := range f.lines {
		if l.name == name {
			l.goal = fmt.Sprintf("%s %s", sign, short(goal))
			l.holds = func(v float64) bool { return v == goal || (v < goal) == below }
		}
	}
}

// print writes a line a figure: its median, how far it went, its goal, whether
// the median holds it, and what share the load generator had beside it.
func (f *figures) print(out io.Writer) {
	if f.atEnd != nil {
		f.atEnd()
	}
	if len(f.lines) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%-56s %9s  %-19s %-16s %s\n", "", "median", "min … max", "goal", "load generator")
	for _, l := range f.lines {
		goal := ""
		if l.goal != "" {
			goal = l.goal + " missed"
			if l.holds(median(l.values)) {
				goal = l.goal + " holds"
			}
		}
		share := ""
		if len(l.load) > 0 {
			share = fmt.Sprintf("%2.0f … %.0f %% of the processors", 100*slices.Min(l.load), 100*slices.Max(l.load))
		}
		spread := fmt.Sprintf("%s … %s", short(slices.Min(l.values)), short(slices.Max(l.values)))
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("%-56s %9s  %-19s %-16s %s", l.name, short(median(l.values)), spread, goal, share), " "))
	}
}

// median of a figure; 0 when there is none.
func (f *figures) median(name string) float64 {
	for _, l := range f.lines {
		if l.name == name {
			return median(l.values)
		}
	}
	return 0
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// short is a number with three digits that say something.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
