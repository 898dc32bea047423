package token

import (
	"strconv"
	"strings"
	"time"
)

const (
	// LastGeneration is the deepest that a cohort token can say.
	LastGeneration = 9

	chance = 62 * 62 * 62 * 62 * 62 * 62
)

// Cohort is the token that all readers of a page carry in one hour and
// generation at a site of level strict: it names nobody. Page is the beacon's
// page as sent; what follows the first '?' or '#' does not count. Hour is
// hours since Epoch, generation 0 to 9.
func Cohort(site, page string, hour int64, generation int) string {
	t := cohort(prefix(site, page, hour), hour, generation)
	return string(t[:])
}

// Generation is which of 0 to 9 gives the token view for this page in the hour
// that view itself names; false when none does, and view is no cohort token of
// this page.
func Generation(site, page, view string) (int, bool) {
	m := Minutes(view)
	if len(view) != Length || m < 0 || m%60 != 0 {
		return 0, false
	}
	p := prefix(site, page, m/60)
	for g := range LastGeneration + 1 {
		if t := cohort(p, m/60, g); string(t[:]) == view {
			return g, true
		}
	}
	return 0, false
}

// Next is the cohort token of a reader who opens page at the time at, having
// come by the token parent ("" when by none): one generation further than the
// parent's cohort, at most 9, and 0 when parent is no cohort token of this
// page. A reader who comes back (the browser says so) stays in its generation.
func Next(site, page, parent string, at time.Time, returned bool) (token string, generation int) {
	if g, ok := Generation(site, page, parent); ok {
		generation = g
		if !returned {
			generation = min(g+1, LastGeneration)
		}
	}
	return Cohort(site, page, minutesOf(at)/60, generation), generation
}

func cohort(prefix cyrb53, hour int64, generation int) (t [Length]byte) {
	putMinutes(&t, hour*60)
	prefix.unit('0' + uint16(generation))
	sum := prefix.sum() % chance
	for i := bodyLength - 1; i >= timeLength; i-- {
		t[i] = Alphabet[sum%base]
		sum /= base
	}
	t[bodyLength] = check(t[:])
	return t
}

// prefix has hashed all but the generation, which is what ten tries differ in.
func prefix(site, page string, hour int64) cyrb53 {
	if i := strings.IndexAny(page, "?#"); i >= 0 {
		page = page[:i]
	}
	h := newCyrb53()
	h.text(site)
	h.unit('\n')
	h.text(page)
	h.unit('\n')
	h.text(strconv.FormatInt(hour, 10))
	h.unit('\n')
	return h
}

// cyrb53 is bryc's 53-bit hash of a JavaScript string with seed 0
// (github.com/bryc/code, jshash/experimental/cyrb53.js). The snippet computes
// it where no asynchronous digest can be waited for; it is not cryptographic,
// and a cohort token keeps no secret.
type cyrb53 struct{ h1, h2 uint32 }

func newCyrb53() cyrb53 { return cyrb53{0xdeadbeef, 0x41c6ce57} }

// unit takes one UTF-16 code unit, as charCodeAt gives it.
func (h *cyrb53) unit(u uint16) {
	h.h1 = (h.h1 ^ uint32(u)) * 2654435761
	h.h2 = (h.h2 ^ uint32(u)) * 1597334677
}

func (h *cyrb53) text(s string) {
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			h.unit(uint16(0xd800 + r>>10))
			h.unit(uint16(0xdc00 + r&0x3ff))
			continue
		}
		h.unit(uint16(r))
	}
}

func (h cyrb53) sum() uint64 {
	h1, h2 := h.h1, h.h2
	h1 = (h1 ^ h1>>16) * 2246822507
	h1 ^= (h2 ^ h2>>13) * 3266489909
	h2 = (h2 ^ h2>>16) * 2246822507
	h2 ^= (h1 ^ h1>>13) * 3266489909
	return uint64(h2&0x1fffff)<<32 | uint64(h1)
}
