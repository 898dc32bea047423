package enrich

import "strings"

// preview is the row of the preview fetcher that the agent is, by the row with
// most tokens and then the longest. So iMessage's three borrowed names go before
// each of them, and LINE and KakaoTalk before the name of Meta that they begin
// with.
func (f *facts) preview(s *scan) *fact {
	var won *fact
	for i := range f.previews {
		row := &f.previews[i]
		if s.match(row.rule) && (won == nil || len(row.all) > len(won.all) || len(row.all) == len(won.all) && row.length > won.length) {
			won = row
		}
	}
	return won
}

// bot reports whether an agent is a program's. A row of bots.tsv finds it,
// unless what it found lies inside what a row of people.tsv found (Cubot is a
// phone, "compatible; MSIE" a browser). Then there are shapes that no table can
// hold:
//
//   - no agent: every browser sends one;
//   - a single word, or a name that no browser begins with;
//   - a mail address, as crawlers leave one for complaints.
//
// An in-app browser that names its address is still a person's.
func (f *facts) bot(s *scan, app bool) bool {
	agent := s.agent
	if strings.Trim(agent, " \t") == "" {
		return true
	}
	inside := f.person(s)
	clean := s.without(inside)
	for i := range f.bots {
		row := &f.bots[i]
		if s.match(row.rule) && clean[row.all[0]>>6]&(1<<(row.all[0]&63)) != 0 && (!app || row.cells[1] != "address") {
			return true
		}
	}
	if !strings.HasPrefix(agent, "mozilla/") && !inside.covers(0, 2) {
		return true
	}
	if !strings.ContainsAny(agent, " (") && !inside.covers(0, 2) {
		return true
	}
	if from, to, ok := mail(agent); ok && !app && !inside.covers(from, to) {
		return true
	}
	return false
}

// mail finds the first mail address: a letter or digit, an @, and a host whose
// last label has two letters or more. A version (android@101.0) and a locale
// (nl_NL@calendar) are none.
func mail(agent string) (from, to int, ok bool) {
	for at := 0; ; at++ {
		i := strings.IndexByte(agent[at:], '@')
		if i < 0 {
			return 0, 0, false
		}
		at += i
		from = at
		for from > 0 && (alnum(agent[from-1]) || strings.IndexByte("._-+", agent[from-1]) >= 0) {
			from--
		}
		to = at + 1
		for to < len(agent) && (alnum(agent[to]) || agent[to] == '.' || agent[to] == '-') {
			to++
		}
		host := strings.TrimRight(agent[at+1:to], ".-")
		_, last, dotted := cutLast(host)
		if from < at && dotted && len(last) >= 2 && letter(last[0]) && letter(last[1]) {
			return from, at + 1 + len(host), true
		}
	}
}

// A cover is what tokens of persons reach over: by place, how far a token goes
// that begins there or before. Nil covers nothing.
type cover []uint16

func (c cover) covers(from, to int) bool { return c != nil && int(c[from]) >= to }

// person is what rows of people.tsv find in the agent.
func (f *facts) person(s *scan) cover {
	var c cover
	for i := range f.people {
		t := f.people[i].all[0]
		if !s.found(t) {
			continue
		}
		if c == nil {
			c = make(cover, len(s.agent)+1)
		}
		for _, sp := range s.spans[s.first[t]:] {
			if sp.term == t {
				c[sp.from] = max(c[sp.from], uint16(sp.to))
			}
		}
	}
	for i := 1; i < len(c); i++ {
		c[i] = max(c[i], c[i-1])
	}
	return c
}

// without is the set of terms that are found outside a cover.
func (s *scan) without(c cover) []uint64 {
	if c == nil {
		return s.has
	}
	clean := make([]uint64, len(s.has))
	for _, sp := range s.spans {
		if !c.covers(sp.from, sp.to) {
			clean[sp.term>>6] |= 1 << (sp.term & 63)
		}
	}
	return clean
}
