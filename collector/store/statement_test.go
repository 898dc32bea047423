package store

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ query, text, format, verb string }{
		{"select 1", "select 1", "", "SELECT"},
		{" ( ( select 1 ) ) ; ; ", "( ( select 1 ) )", "", "SELECT"},
		{"SELECT 1 FORMAT TSV", "SELECT 1", "TSV", "SELECT"},
		{"SELECT 1\nformat JSON;\n-- bye", "SELECT 1", "JSON", "SELECT"},
		{"SELECT format FROM t", "SELECT format FROM t", "", "SELECT"},
		{"SELECT 'FORMAT' x", "SELECT 'FORMAT' x", "", "SELECT"},
		{"-- first\nSHOW TABLES", "SHOW TABLES", "", "SHOW"},
		{"SELECT 1 -- FORMAT TSV", "SELECT 1", "", "SELECT"},
		{"SELECT a#b, # c", "SELECT a#b,", "", "SELECT"},
		{"SELECT $$;--$$", "SELECT $$;--$$", "", "SELECT"},
		{"SELECT $1, a$b", "SELECT $1, a$b", "", "SELECT"},
		{"SELECT `;`, \"--\", '/*'", "SELECT `;`, \"--\", '/*'", "", "SELECT"},
		{`SELECT 'a\';', 'b'';'`, `SELECT 'a\';', 'b'';'`, "", "SELECT"},
		{"/* a /* b */ ; */ SELECT 1", "SELECT 1", "", "SELECT"},
	} {
		s, err := parse(c.query)
		if err != nil || s.text != c.text || s.format != c.format || s.verb != c.verb {
			t.Errorf("parse(%q) = %q, %v, want %q %q %q", c.query, s, err, c.text, c.format, c.verb)
		}
	}
}

// FuzzParse: whatever is typed, what is put into parentheses stays in them.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"SELECT 1", "SELECT 1) -- (", "SELECT '", "/*/**/", "SELECT $a$)$a$", "SELECT `\\``", "((", "FORMAT TSV", "SELECT 1 FORMAT", "é", "\x00", "# !", "SELECT '\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, err := parse(query)
		if err != nil {
			return
		}
		if s.text == "" || !strings.Contains(query, s.text) {
			t.Fatalf("parse(%q).text = %q", query, s.text)
		}
		again, err := parse(s.text)
		if err != nil {
			t.Fatalf("parse(%q) of %q: %v", s.text, query, err)
		}
		if again.format == "" && again.text != s.text {
			t.Fatalf("parse(%q) = %q of %q", s.text, again.text, query)
		}
		// With our text around it there is still one statement, and as deep.
		if _, err := parse("SELECT * FROM (" + s.text + "\n)"); err != nil {
			t.Fatalf("%q does not stay in parentheses: %v", s.text, err)
		}
	})
}
