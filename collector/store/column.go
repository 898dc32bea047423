package store

import (
	"strconv"
	"strings"
)

// A column of an answer.
type column struct{ name, kind string }

// oneLine is a type as it stands in a header; DESCRIBE breaks long ones into
// indented lines.
func oneLine(kind string) string {
	if !strings.Contains(kind, "\n") {
		return kind
	}
	var b strings.Builder
	for i := 0; i < len(kind); {
		switch c := kind[i]; {
		case c == '\'' || c == '`':
			end := quoted(kind, i)
			if end < 0 {
				end = len(kind)
			}
			b.WriteString(kind[i:end])
			i = end
		case c == '\n':
			if i > 0 && kind[i-1] == ',' {
				b.WriteByte(' ')
			}
			for i < len(kind) && (kind[i] == '\n' || kind[i] == ' ') {
				i++
			}
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}

// flatten takes tuples apart, as CSV does with their values.
func flatten(columns []column) []column {
	var flat []column
	for _, c := range columns {
		inner, ok := strings.CutPrefix(c.kind, "Tuple(")
		if !ok {
			flat = append(flat, c)
			continue
		}
		var parts []column
		for i, e := range elements(strings.TrimSuffix(inner, ")")) {
			if e.name == "" {
				e.name = strconv.Itoa(i + 1)
			}
			parts = append(parts, column{c.name + "." + e.name, e.kind})
		}
		flat = append(flat, flatten(parts)...)
	}
	return flat
}

// elements are those of a tuple: `n UInt8, s String`, or types alone.
func elements(list string) []column {
	var all []column
	depth, start := 0, 0
	var word string // before a space outside of parentheses: the name
	for i := 0; i <= len(list); {
		switch {
		case i == len(list) || list[i] == ',' && depth == 0:
			if kind := strings.TrimSpace(list[start:i]); kind != "" {
				all = append(all, column{strings.Trim(word, "`"), kind})
			}
			word = ""
			i++
			start = i
		case list[i] == '\'' || list[i] == '`':
			if i = quoted(list, i); i < 0 {
				return all
			}
		case list[i] == ' ' && depth == 0 && strings.TrimSpace(list[start:i]) != "":
			word = strings.TrimSpace(list[start:i])
			i++
			start = i
		default:
			switch list[i] {
			case '(':
				depth++
			case ')':
				depth--
			}
			i++
		}
	}
	return all
}
