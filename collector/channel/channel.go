// Package channel holds the one list of channels: the names that beacons,
// links, tables of facts and views use for the way a link was passed on.
//
// A caller can rely on Known for every name of the contract's section 7. The
// package knows nothing of how a channel is recognised; that is enrich.
//
// What surprises: the empty name, which means "not known" everywhere, is no
// channel here. Who allows it says so.
package channel

import "slices"

const (
	// Other is a channel the reader or the site names that has no name here.
	Other = "other"
	// Meta is Messenger or Facebook where they cannot be told apart.
	Meta = "meta"
)

var names = []string{
	"bluesky", "discord", "email", "facebook", "googlechat", "instagram", "kakaotalk", "line", "linkedin", "mastodon",
	"messenger", Meta, Other, "pinterest", "qq", "reddit", "signal", "skype", "slack", "sms", "snapchat", "teams",
	"telegram", "threads", "tiktok", "twitter", "viber", "vk", "wechat", "whatsapp", "zalo",
}

var known = func() map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}()

// All is every channel in the order of the alphabet.
func All() []string { return slices.Clone(names) }

// Known reports whether name is a channel.
func Known(name string) bool { return known[name] }
