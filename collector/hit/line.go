package hit

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

// MaxLine is the longest import line, in bytes without its end: a beacon and
// as much again for what stands around it.
const MaxLine = 128 << 10

// A Line is one line of an import (contract, section 5): exactly one of
// Beacon, Link and NewLink is set.
type Line struct {
	Time    time.Time // stands for the clock
	Address netip.Addr
	Agent   string
	Package string
	GPC     bool

	Beacon  []byte // as it stands in the line; Decode reads it
	Link    *LinkHit
	NewLink *NewLink
}

// A LinkHit is a request of a short link.
type LinkHit struct {
	Token   string
	Method  string // GET when the line does not say
	Purpose string // the header Sec-Purpose
}

// A NewLink is the birth of a short link.
type NewLink struct {
	Token    string
	Site     string
	Page     string
	Campaign string
	Channel  string
	Label    string
	Kind     string // chat when the line does not say

	host string // of Page
}

// DecodeLine reads one line without its end. Like Decode it copies what it
// keeps.
func DecodeLine(line []byte) (*Line, error) {
	if len(line) > MaxLine {
		return nil, bad("line", fmt.Sprintf("longer than %d bytes", MaxLine))
	}
	r := open(line, "line")
	defer r.close()
	r.general(line)
	l := new(Line)
	w := lineReader{reader: r, Line: l}
	if err := r.object("line", w.field); err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := w.shape(); err != nil {
		return nil, err
	}
	return l, nil
}

type lineReader struct {
	*reader
	*Line
	ip    string
	agent bool    // was sent, and be it empty: some clients have none
	link  LinkHit // becomes Link when it has a token: a method or purpose alone says nothing
}

func (w *lineReader) field(name string) error {
	switch name {
	case "time":
		return w.date(name, &w.Time)
	case "ip":
		return w.str(name, &w.ip)
	case "agent":
		if w.null() {
			return nil
		}
		w.agent = true
		return w.cut(name, &w.Agent, maxAgent)
	case "package":
		return w.cut(name, &w.Package, maxPackage)
	case "gpc":
		return w.boolean(name, &w.GPC)
	case "beacon":
		if w.null() {
			return nil
		}
		if w.dec.PeekKind() != '{' {
			return w.mistyped(name, "an object")
		}
		raw, err := w.dec.ReadValue()
		if err != nil {
			return w.broken(name, err)
		}
		w.Beacon = append(make([]byte, 0, len(raw)), raw...)
		return nil
	case "link":
		return w.str(name, &w.link.Token)
	case "method":
		return w.str(name, &w.link.Method)
	case "purpose":
		return w.cut(name, &w.link.Purpose, maxPurpose)
	case "new_link":
		if w.null() {
			return nil
		}
		w.NewLink = new(NewLink)
		return w.newLink(w.NewLink)
	}
	return w.skip("line")
}

func (w *lineReader) newLink(n *NewLink) error {
	return w.object("new_link", func(name string) error {
		field := "new_link." + name
		switch name {
		case "token":
			return w.str(field, &n.Token)
		case "site":
			return w.str(field, &n.Site)
		case "page":
			return w.str(field, &n.Page)
		case "campaign":
			return w.short(field, &n.Campaign, maxLabel)
		case "channel":
			return w.str(field, &n.Channel)
		case "label":
			return w.short(field, &n.Label, maxLabel)
		case "kind":
			return w.str(field, &n.Kind)
		}
		return w.skip("new_link")
	})
}

// shape checks what only the whole line shows.
func (w *lineReader) shape() error {
	if w.Time.IsZero() {
		return bad("time", "missing")
	}
	if w.link.Token != "" {
		w.Link = &w.link
	}
	kinds := 0
	for _, is := range []bool{w.Beacon != nil, w.Link != nil, w.NewLink != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return bad("line", "not exactly one of beacon, link and new_link")
	}
	if w.NewLink != nil {
		return w.NewLink.shape()
	}
	if w.ip == "" {
		return bad("ip", "missing")
	}
	address, err := netip.ParseAddr(w.ip)
	if err != nil {
		return bad("ip", "not an address")
	}
	if !w.agent {
		return bad("agent", "missing")
	}
	// As a socket would give it: one form for IPv4, no zone of somebody's machine.
	w.Address = address.Unmap().WithZone("")
	if w.Link == nil {
		return nil
	}
	if !token.Valid(w.Link.Token) {
		return bad("link", "not a token")
	}
	if w.Link.Method == "" {
		w.Link.Method = "GET"
	}
	if w.Link.Method != "GET" && w.Link.Method != "HEAD" {
		return bad("method", "not GET or HEAD")
	}
	return nil
}

func (n *NewLink) shape() error {
	switch {
	case n.Token == "":
		return bad("new_link.token", "missing")
	case !token.Valid(n.Token):
		return bad("new_link.token", "not a token")
	case n.Site == "":
		return bad("new_link.site", "missing")
	case n.Page == "":
		return bad("new_link.page", "missing")
	}
	n.Page = bare(n.Page)
	if len(n.Page) > maxPage {
		return bad("new_link.page", fmt.Sprintf("longer than %d bytes", maxPage))
	}
	var problem string
	if n.host, problem = host(n.Page); problem != "" {
		return bad("new_link.page", problem)
	}
	if n.Channel != "" && !channel.Known(n.Channel) {
		return bad("new_link.channel", "not a channel")
	}
	switch n.Kind {
	case "":
		n.Kind = "chat"
	case "chat", "broadcast", "influencer", "print", "share":
	default:
		return bad("new_link.kind", "not chat, broadcast, influencer, print or share")
	}
	return nil
}

// Check says whether the site takes the link. A nil site is one that is not
// configured.
func (n *NewLink) Check(s *site.Site) error {
	if s == nil {
		return &Error{Field: "new_link.site", Problem: "not a site of this collector", Foreign: true}
	}
	if !s.Owns(n.host) {
		return foreign(s, "new_link.page")
	}
	return nil
}
