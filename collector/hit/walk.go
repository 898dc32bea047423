package hit

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A walk reads JSON as the snippet writes it, which is what JSON.stringify
// makes: UTF-8, no control characters, few escapes, nothing nested that is not
// ours. It goes over such a text once and costs a third of the general decoder.
//
// Whatever else comes, JSON or not, ends it with errOdd; then the general
// decoder reads the text from its beginning, and what that says holds. So a walk
// must accept nothing that the decoder refuses, and never read it differently;
// FuzzWalk holds the two against each other. No error of a walk is ever told.
type walk struct {
	plain   bool
	escapes bool // there are backslashes
	at      int
}

var errOdd = errors.New("to be read by the general decoder")

// walkable looks over the input, in words of eight bytes, whether a walk may
// try, and begins it.
func (r *reader) walkable(input []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	var beyond, control, slash uint64
	look := func(w uint64) {
		beyond |= w & high
		// Each has the high bit of a byte that is below 0x20, or a backslash. Of the
		// bytes behind such a one it may have more.
		control |= (w - ones*0x20) &^ w & high
		w ^= ones * '\\'
		slash |= (w - ones) &^ w & high
	}
	for ; len(input) >= 8; input = input[8:] {
		look(binary.LittleEndian.Uint64(input))
	}
	for _, c := range input {
		look(ones * uint64(c))
	}
	r.escapes = slash != 0
	r.plain = control == 0 && (beyond == 0 || utf8.ValidString(r.text))
	return r.plain
}

// peek is the next byte that is no space, 0 at the end. Other white space is
// control characters, which are not here.
func (r *reader) peek() byte {
	for ; r.at < len(r.text); r.at++ {
		if c := r.text[r.at]; c != ' ' {
			return c
		}
	}
	return 0
}

// take passes over a byte that must come next.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) walkObject(field func(name string) error) error {
	if !r.take('{') {
		return errOdd
	}
	seen := uint64(0)
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') || r.peek() != '"' {
			return errOdd
		}
		name, err := r.walkText()
		if err != nil || r.escapes && strings.IndexByte(name, '\\') >= 0 || !r.take(':') {
			return errOdd
		}
		name = name[1 : len(name)-1]
		// Two names of one slot may be the same: the decoder looks.
		if seen&slot(name) != 0 {
			return errOdd
		}
		seen |= slot(name)
		if err := field(name); err != nil {
			return err
		}
	}
	return nil
}

// slot is a bit that stands for a name. No two names of one object of ours have
// the same, which a test holds; the factors were found by trying.
func slot(name string) uint64 {
	if name == "" {
		return 1
	}
	return 1 << ((len(name)*1 + int(name[0])*8 + int(name[len(name)-1])*12) & 63)
}

func (r *reader) walkList(element func() error) error {
	if !r.take('[') {
		return errOdd
	}
	for first := true; !r.take(']'); first = false {
		if !first && !r.take(',') || r.peek() == ']' {
			return errOdd
		}
		if err := element(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) walkEnd() error {
	if r.peek() != 0 || r.at != len(r.text) {
		return errOdd
	}
	return nil
}

func (r *reader) walkNull() bool {
	if r.peek() != 'n' || !strings.HasPrefix(r.text[r.at:], "null") {
		return false
	}
	r.at += len("null")
	return true
}

// walkValue reads a text, number, true, false or null, as it is written. What
// stands behind it is looked at by who reads on.
func (r *reader) walkValue() (string, error) {
	switch c := r.peek(); c {
	case '"':
		return r.walkText()
	case 't':
		return r.walkWord("true")
	case 'f':
		return r.walkWord("false")
	case 'n':
		return r.walkWord("null")
	}
	return r.walkNumber()
}

func (r *reader) walkWord(word string) (string, error) {
	if !strings.HasPrefix(r.text[r.at:], word) {
		return "", errOdd
	}
	r.at += len(word)
	return word, nil
}

// walkText reads a text with its quotes.
func (r *reader) walkText() (string, error) {
	rest := r.text[r.at:]
	end := quote(rest)
	if end == 0 {
		return "", errOdd
	}
	if r.escapes && strings.IndexByte(rest[:end], '\\') >= 0 {
		// A quote behind an odd number of backslashes is part of the text.
		for escaped(rest[:end]) {
			next := strings.IndexByte(rest[end+1:], '"')
			if next < 0 {
				return "", errOdd
			}
			end += 1 + next
		}
		if _, err := jsontext.AppendUnquote(nil, rest[:end+1]); err != nil {
			return "", errOdd
		}
	}
	r.at += end + 1
	return rest[:end+1], nil
}

// quote is where the next quote stands behind the first byte; 0 when none does.
// Names and most texts are shorter than it takes to begin a search of words.
func quote(s string) int {
	for i := 1; i < min(len(s), 16); i++ {
		if s[i] == '"' {
			return i
		}
	}
	if len(s) < 16 {
		return 0
	}
	if i := strings.IndexByte(s[16:], '"'); i >= 0 {
		return 16 + i
	}
	return 0
}

// escaped reports whether what follows s stands behind a backslash that counts.
func escaped(s string) bool { return (len(s)-len(strings.TrimRight(s, `\`)))%2 == 1 }

// walkNumber reads a number by RFC 8259, section 6.
func (r *reader) walkNumber() (string, error) {
	begin := r.at
	if r.at < len(r.text) && r.text[r.at] == '-' {
		r.at++
	}
	whole := r.digits()
	if whole == 0 || whole > 1 && r.text[r.at-whole] == '0' {
		return "", errOdd
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		if r.at++; r.digits() == 0 {
			return "", errOdd
		}
	}
	if r.at < len(r.text) && r.text[r.at]|0x20 == 'e' {
		if r.at++; r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return "", errOdd
		}
	}
	return r.text[begin:r.at], nil
}

func (r *reader) digits() int {
	begin := r.at
	for r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at - begin
}
