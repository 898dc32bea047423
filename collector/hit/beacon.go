package hit

import (
	"time"

	"github.com/passalong/passalong/collector/site"
)

// A Beacon is what one POST /e carries (contract, section 4). Decode has
// checked its shape and limits, Check that it belongs to its site.
//
// Its texts share one copy of the body: who keeps one longer than the beacon
// clones it.
type Beacon struct {
	Site    string
	Privacy site.Level
	Page    string // without its token, else as sent
	View    string
	Seq     *uint32 // nil when none was sent
	Via     string  // empty when none was sent, or none that holds
	Return  bool
	App     string // a channel, or empty

	Referrer  string
	Title     string
	Language  string
	Zone      string
	Width     uint32 // CSS pixels; 0 when not sent
	Canonical string
	Author    string
	Section   string
	Published time.Time // zero when not sent

	Visitor string // the consented id; empty at a strict site
	Events  []Event

	// Generation is 0 to 9 at a strict site, once Check has found which of the
	// ten cohort tokens View is; else 0.
	Generation int

	host string // of Page

	// What Seq and Events point to, mostly: two allocations less.
	seq uint32
	few [2]Event
}

// An Event is one of a beacon's events. Fields that do not belong to its type
// are empty, whatever was sent.
type Event struct {
	Type string
	Age  time.Duration // before sending, 0 to 24 h

	Hash string // view

	What  string // copy
	Chars uint32
	Words uint32
	Quote string // empty unless the site keeps quotes

	Channel string // share (also sheet, copy), answer
	Token   string // share
	Outcome string

	Visible time.Duration // engage
	Scroll  uint32        // percent

	Name     string // convert
	Value    int64  // ten-thousandths
	Currency string // of the site when a value came without
	Order    string

	Source string // answer
	Mood   int32  // 0 also when not sent
	Text   string
}
