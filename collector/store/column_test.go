package store

import (
	"slices"
	"testing"
)

func TestOneLine(t *testing.T) {
	for kind, want := range map[string]string{
		"UInt8":                               "UInt8",
		"Tuple(\n    n UInt8,\n    s String)": "Tuple(n UInt8, s String)",
		"Array(Tuple(\n    a Tuple(\n        b UInt8,\n        c Date)))":   "Array(Tuple(a Tuple(b UInt8, c Date)))",
		"Tuple(\n    e Enum8('a\n  b' = 1, 'it\\'s' = 2),\n    `x\n` Date)": "Tuple(e Enum8('a\n  b' = 1, 'it\\'s' = 2), `x\n` Date)",
	} {
		if got := oneLine(kind); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", kind, got, want)
		}
	}
}

func TestFlatten(t *testing.T) {
	got := flatten([]column{
		{"n", "UInt8"},
		{"p", "Tuple(a UInt8, b Tuple(c Decimal(18, 4), `d e` Enum8('x, y' = 1)))"},
		{"q", "Tuple(UInt8, Map(String, UInt8))"},
	})
	want := []column{
		{"n", "UInt8"}, {"p.a", "UInt8"}, {"p.b.c", "Decimal(18, 4)"}, {"p.b.d e", "Enum8('x, y' = 1)"},
		{"q.1", "UInt8"}, {"q.2", "Map(String, UInt8)"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
