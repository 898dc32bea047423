package loader

import (
	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/lineage"
)

// birth says what was born with an event, if anything was. Bots give birth to
// nothing, and at level strict a share is no node: it carries its view's own
// token, which names a cohort.
func birth(e *event.Event) (b lineage.Birth, born bool) {
	strict := e.Privacy == "strict"
	if e.Bot || e.Type == "share" && strict {
		return b, false
	}
	b = lineage.Birth{
		Site: e.Site, Time: e.Time, Received: e.Received, Day: e.Day,
		Page: e.Page, Visitor: e.Visitor, Network: e.Network, Generation: -1,
	}
	switch e.Type {
	case "view":
		b.Kind, b.Token, b.Via = lineage.View, e.View, e.Via
		b.Returned = e.Returned
		b.Plain = e.App == "" && !e.Packaged && e.PackageChannel == "" && e.Referrer == ""
		if strict {
			b.Generation = int8(e.Generation)
		}
	case "share":
		b.Kind, b.Token, b.Via = lineage.Share, e.Token, e.View
	case "link":
		b.Kind, b.Token = lineage.Link, e.Token
	}
	return b, b.Token != ""
}
