package enrich

import (
	"fmt"
	"strings"
	"sync"
)

// What a row says of an agent is an expression over plain tokens:
//
//	Instagram           the word, in any case
//	Line/#              the text, and then a digit
//	*bot                the text at a word's end; *crawl* anywhere; Foo* at a word's start
//	^WhatsApp/          at the start of the agent; WhatsApp/2$ at its end
//	FBAN & !IABMV       all of these and none of those
//
// A word's edge is where a letter or digit meets something else; a digit after
// a word does not count as part of it (Viber7 is Viber).
//
// All tokens of all tables are found in one pass over the agent by an automaton
// (Aho and Corasick, 1975): time grows with the agent, not with the tables.

// A term is one token with what must stand beside it.
type term struct {
	text               string // lower case
	wordStart, wordEnd bool
	start, end, digit  bool
}

// A rule is a row's expression: ids of terms in the matcher.
type rule struct {
	all  []int
	none []int
}

// A matcher finds terms in agents. It is built once and then only read.
type matcher struct {
	terms []term
	ids   map[string]int
	// The automaton: next[state*width+class[byte]]; class 0 is every byte that no token has.
	class [256]uint8
	width int
	next  []int32
	found [][]int32 // by state: terms whose text ends here, longest first
	scans sync.Pool // of *scan, sized for this matcher
}

// A span is a term found at agent[from:to].
type span struct{ term, from, to int }

// A scan is what was found in one agent.
type scan struct {
	agent string // lower case
	has   []uint64
	spans []span
	first []int32 // by term: index into spans of its first place; valid only where has is set
}

func (s *scan) found(t int) bool { return s.has[t>>6]&(1<<(t&63)) != 0 }

func (s *scan) match(r rule) bool {
	for _, t := range r.all {
		if !s.found(t) {
			return false
		}
	}
	for _, t := range r.none {
		if s.found(t) {
			return false
		}
	}
	return true
}

// add compiles an expression. Every token is kept once, whoever names it.
func (m *matcher) add(expression string) (rule, error) {
	var r rule
	for _, part := range strings.Split(expression, " & ") {
		text, negated := strings.CutPrefix(part, "!")
		id, err := m.term(text)
		if err != nil {
			return rule{}, err
		}
		if negated {
			r.none = append(r.none, id)
		} else {
			r.all = append(r.all, id)
		}
	}
	if len(r.all) == 0 {
		return rule{}, fmt.Errorf("%q names nothing that must be there", expression)
	}
	return r, nil
}

func (m *matcher) term(spec string) (int, error) {
	if id, ok := m.ids[spec]; ok {
		return id, nil
	}
	t := term{}
	text := spec
	text, t.start = strings.CutPrefix(text, "^")
	text, loose := strings.CutPrefix(text, "*")
	t.wordStart = !loose && !t.start
	text, looseEnd := strings.CutSuffix(text, "*")
	if !looseEnd {
		text, t.end = strings.CutSuffix(text, "$")
		if !t.end {
			text, t.digit = strings.CutSuffix(text, "#")
		}
	}
	t.wordEnd = !looseEnd && !t.end && !t.digit
	if len(text) < 2 || len(text) > 120 {
		return 0, fmt.Errorf("token %q: its text has 2 to 120 characters", spec)
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return 0, fmt.Errorf("token %q: agents are matched by ASCII", spec)
		}
	}
	t.text = strings.ToLower(text)
	t.wordStart = t.wordStart && alnum(t.text[0])
	t.wordEnd = t.wordEnd && letter(t.text[len(t.text)-1])
	if m.ids == nil {
		m.ids = map[string]int{}
	}
	m.terms = append(m.terms, t)
	m.ids[spec] = len(m.terms) - 1
	return len(m.terms) - 1, nil
}

// build makes the automaton from all terms added.
func (m *matcher) build() {
	m.width = 1
	for _, t := range m.terms {
		for i := range len(t.text) {
			if c := t.text[i]; m.class[c] == 0 {
				m.class[c] = uint8(m.width)
				m.width++
			}
		}
	}
	// The trie: -1 where there is no edge.
	grow := func() int32 {
		state := len(m.found)
		for range m.width {
			m.next = append(m.next, -1)
		}
		m.found = append(m.found, nil)
		return int32(state)
	}
	grow()
	for id, t := range m.terms {
		state := int32(0)
		for i := range len(t.text) {
			edge := int(state)*m.width + int(m.class[t.text[i]])
			if m.next[edge] < 0 {
				to := grow()
				m.next[edge] = to
			}
			state = m.next[edge]
		}
		m.found[state] = append(m.found[state], int32(id))
	}
	// Breadth first, so that the state a missing edge falls back to is complete.
	fail := make([]int32, len(m.found))
	var queue []int32
	for c := range m.width {
		if to := m.next[c]; to < 0 {
			m.next[c] = 0
		} else {
			queue = append(queue, to)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		m.found[state] = append(m.found[state], m.found[fail[state]]...)
		for c := range m.width {
			edge, back := int(state)*m.width+c, m.next[int(fail[state])*m.width+c]
			if to := m.next[edge]; to < 0 {
				m.next[edge] = back
			} else {
				fail[to] = back
				queue = append(queue, to)
			}
		}
	}
}

// scan finds every term in the agent, which is in lower case. The caller gives
// the scan back with done.
func (m *matcher) scan(agent string) *scan {
	s, _ := m.scans.Get().(*scan)
	if s == nil {
		s = &scan{has: make([]uint64, (len(m.terms)+63)/64), first: make([]int32, len(m.terms))}
	}
	clear(s.has)
	s.agent, s.spans = agent, s.spans[:0]
	state := int32(0)
	for i := range len(agent) {
		state = m.next[int(state)*m.width+int(m.class[agent[i]])]
		for _, id := range m.found[state] {
			t := &m.terms[id]
			from, to := i+1-len(t.text), i+1
			if !t.fits(agent, from, to) {
				continue
			}
			if !s.found(int(id)) {
				s.has[id>>6] |= 1 << (id & 63)
				s.first[id] = int32(len(s.spans))
			}
			s.spans = append(s.spans, span{int(id), from, to})
		}
	}
	return s
}

// done gives a scan back. Most agents have some dozen places; what a made-up
// agent has grown is not kept.
func (m *matcher) done(s *scan) {
	if cap(s.spans) <= 512 {
		m.scans.Put(s)
	}
}

func (t *term) fits(agent string, from, to int) bool {
	switch {
	case t.start && from != 0,
		t.end && to != len(agent),
		t.wordStart && from > 0 && alnum(agent[from-1]),
		t.wordEnd && to < len(agent) && letter(agent[to]),
		t.digit && (to == len(agent) || !digit(agent[to])):
		return false
	}
	return true
}

// number reads the digits right after a term's first place, past one slash or
// space: the major version. 0 when there are none.
func (s *scan) number(t int) uint32 {
	if !s.found(t) {
		return 0
	}
	rest := s.agent[s.spans[s.first[t]].to:]
	if rest != "" && (rest[0] == '/' || rest[0] == ' ') {
		rest = rest[1:]
	}
	n := uint32(0)
	for i := 0; i < len(rest) && i < 6 && digit(rest[i]); i++ {
		n = n*10 + uint32(rest[i]-'0')
	}
	return n
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }
func alnum(c byte) bool  { return letter(c) || digit(c) }
