package store

import (
	"errors"
	"fmt"
	"strings"
)

// A statement is one query as somebody typed it, taken apart as far as is
// needed to print its answer.
type statement struct {
	text   string // without a closing semicolon and FORMAT
	format string // of a closing FORMAT, or empty
	verb   string // its first word in upper case
}

// A token is a word, or one other character, that stands outside of strings
// and comments. Quoted names and strings are tokens without text.
type token struct {
	text       string
	start, end int
}

// parse reads one statement. It knows no grammar, only where strings and
// comments begin and end: the server judges the rest.
func parse(query string) (statement, error) {
	tokens, err := scan(query)
	if err != nil {
		return statement{}, err
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].text == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	// The text will stand in parentheses, which it must not close.
	depth := 0
	for _, t := range tokens {
		switch t.text {
		case ";":
			return statement{}, errors.New("one statement at a time: there is text after the `;`")
		case "(":
			depth++
		case ")":
			if depth--; depth < 0 {
				return statement{}, fmt.Errorf("the `)` at character %d closes nothing", t.start+1)
			}
		}
	}
	if depth > 0 {
		return statement{}, errors.New("the query ends inside of parentheses")
	}
	if len(tokens) == 0 {
		return statement{}, errors.New("the query is empty")
	}
	s := statement{}
	if n := len(tokens); n > 2 && strings.EqualFold(tokens[n-2].text, "FORMAT") && isWord(tokens[n-1].text) {
		s.format = tokens[n-1].text
		tokens = tokens[:n-2]
	}
	for i, t := range tokens {
		if i+1 < len(tokens) && strings.EqualFold(t.text, "INTO") && strings.EqualFold(tokens[i+1].text, "OUTFILE") {
			return statement{}, errors.New("INTO OUTFILE is not for here: the answer goes to the output, redirect that")
		}
	}
	if readsFiles(query, tokens) {
		return statement{}, errors.New("file() is not for here: it reads the engine's own files past every grant")
	}
	s.text = query[tokens[0].start:tokens[len(tokens)-1].end]
	for _, t := range tokens {
		if t.text != "(" {
			s.verb = strings.ToUpper(t.text)
			break
		}
	}
	return s, nil
}

// readsFiles reports whether the function file is called, or handed to APPLY.
// ClickHouse has no grant for it: whoever may ask anything may read whatever the
// engine can open, the quotes and salts that the reading user must not see among
// it. The table function of that name does need a grant, and is refused here
// too.
func readsFiles(query string, tokens []token) bool {
	for i, t := range tokens {
		name := strings.Trim(query[t.start:t.end], "`\"")
		if !strings.EqualFold(name, "file") || query[t.start] == '\'' {
			continue
		}
		called := i+1 < len(tokens) && tokens[i+1].text == "("
		applied := i > 0 && strings.EqualFold(tokens[i-1].text, "APPLY") ||
			i > 1 && tokens[i-1].text == "(" && strings.EqualFold(tokens[i-2].text, "APPLY")
		if called || applied {
			return true
		}
	}
	return false
}

// rows reports whether the answer of the statement can be selected from.
func (s statement) rows() bool {
	return s.verb == "SELECT" || s.verb == "WITH" || s.verb == "FROM"
}

// reads reports whether it is a kind of statement that only reads. USE and SET
// are not, though they write nothing: they would change a connection that goes
// back into the pool.
func (s statement) reads() bool {
	switch s.verb {
	case "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS":
		return true
	}
	return s.rows()
}

// scan finds the tokens of a query as ClickHouse's lexer does (Lexer.cpp):
// '…' "…" `…` with backslash and doubled quotes, $tag$…$tag$, -- and # comments
// to the end of the line, nested /* */.
func scan(q string) (tokens []token, err error) {
	for i := 0; i < len(q); {
		switch c := q[i]; {
		case c == '\'' || c == '"' || c == '`':
			end := quoted(q, i)
			if end < 0 {
				return nil, fmt.Errorf("the query ends inside of a %c that was opened at character %d", c, i+1)
			}
			tokens = append(tokens, token{"", i, end})
			i = end
		case strings.HasPrefix(q[i:], "--"), strings.HasPrefix(q[i:], "# "), strings.HasPrefix(q[i:], "#!"):
			end := strings.IndexByte(q[i:], '\n')
			if end < 0 {
				return tokens, nil
			}
			i += end
		case strings.HasPrefix(q[i:], "/*"):
			depth, j := 1, i+2
			for ; j < len(q) && depth > 0; j++ {
				switch {
				case strings.HasPrefix(q[j:], "*/"):
					depth, j = depth-1, j+1
				case strings.HasPrefix(q[j:], "/*"):
					depth, j = depth+1, j+1
				}
			}
			if depth > 0 {
				return nil, fmt.Errorf("the query ends inside of a comment that was opened at character %d", i+1)
			}
			i = j
		case c == '$' && heredoc(q, i) > 0:
			end := heredoc(q, i)
			tokens = append(tokens, token{"", i, end})
			i = end
		case isWordByte(c):
			j := i
			for j < len(q) && (isWordByte(q[j]) || q[j] == '$') {
				j++
			}
			tokens = append(tokens, token{q[i:j], i, j})
			i = j
		case c <= ' ':
			i++
		default:
			tokens = append(tokens, token{q[i : i+1], i, i + 1})
			i++
		}
	}
	return tokens, nil
}

// quoted is the position behind the string or name that opens at i, or -1.
func quoted(q string, i int) int {
	for j := i + 1; j < len(q); j++ {
		switch q[j] {
		case '\\':
			j++
		case q[i]:
			if j+1 < len(q) && q[j+1] == q[i] {
				j++
				continue
			}
			return j + 1
		}
	}
	return -1
}

// heredoc is the position behind $tag$…$tag$ at i, or -1.
func heredoc(q string, i int) int {
	j := i + 1
	for j < len(q) && isWordByte(q[j]) {
		j++
	}
	if j >= len(q) || q[j] != '$' {
		return -1
	}
	tag := q[i : j+1]
	end := strings.Index(q[j+1:], tag)
	if end < 0 {
		return -1
	}
	return j + 1 + end + len(tag)
}

// isWordByte takes every byte of a longer character: names may have letters of
// any script, and Unicode spaces are not worth a table here.
func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func isWord(s string) bool { return s != "" && isWordByte(s[0]) }

// literal is s as a string of ClickHouse's.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// identifier is s as a name of ClickHouse's.
func identifier(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}
