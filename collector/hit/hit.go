// Package hit knows the wire format: what a beacon and an import line may say,
// how long it may be, and what a site takes.
//
// Decode and DecodeLine read hostile bytes; they never panic, and what they
// return keeps every limit of this package. A beacon with one bad event is
// refused whole. The error of every function is an *Error, whose text a
// stranger may read: it names the field and never repeats its value.
//
// Not promised: that a beacon tells the truth. Anybody can send one.
//
// What surprises: a value that would change meaning when shortened (a token,
// a page, an order) is refused when too long; a descriptive text (title, author,
// section, name, referrer) is cut at a character boundary instead, because a view
// is worth more than the end of its title. JSON is read by RFC 8259 and I-JSON:
// a name that stands twice or bytes that are no UTF-8 are refused, null is the
// same as absent, and a whole number is digits without point or exponent.
package hit

import "fmt"

// MaxBody is the largest beacon, in bytes (contract, section 4).
const MaxBody = 64 << 10

// Limits in bytes unless they say otherwise. Those without a section are ours:
// generous for what honest pages send, small enough for a column.
const (
	maxEvents  = 64   // section 4
	maxPage    = 2048 // section 4; also referrer and canonical
	maxVisitor = 64   // section 4, characters
	maxQuote   = 300  // section 4, characters
	maxText    = 500  // section 4, characters

	maxTitle    = 512
	maxAuthor   = 256
	maxSection  = 128
	maxLanguage = 35 // RFC 5646, section 4.4.1
	maxZone     = 64 // the longest of the zone database has 38
	maxName     = 128
	maxOrder    = 128
	maxLabel    = 256
	maxAgent    = 4096
	maxPackage  = 256
	maxPurpose  = 128

	maxWidth   = 1<<16 - 1
	maxAge     = 24 * 60 * 60 * 1000      // milliseconds, section 4
	maxVisible = 31 * 24 * 60 * 60 * 1000 // milliseconds; a tab left open for a month
)

// An Error says what is wrong with a beacon or a line, for whoever sent it.
type Error struct {
	Field   string // "page", "events[3].what"; "body" or "line" for the whole
	Problem string
	Foreign bool  // it is another site's: 403, else 400
	After   int64 // how many bytes were in order when the JSON broke; else 0
}

func (e *Error) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%s: %s after byte %d", e.Field, e.Problem, e.After)
	}
	return e.Field + ": " + e.Problem
}

func bad(field, problem string) *Error { return &Error{Field: field, Problem: problem} }
