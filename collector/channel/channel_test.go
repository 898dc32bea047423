package channel

import (
	"slices"
	"strings"
	"testing"
)

// contract is section 7 as it stands there, with meta, which it names apart.
const contract = `whatsapp messenger instagram snapchat facebook wechat telegram signal line kakaotalk viber discord slack teams skype zalo sms email linkedin
twitter threads tiktok pinterest reddit bluesky mastodon googlechat qq vk other meta`

func TestTheListIsTheContracts(t *testing.T) {
	want := strings.Fields(contract)
	slices.Sort(want)
	if got := All(); !slices.Equal(got, want) {
		t.Errorf("channels\n got %q\nwant %q", got, want)
	}
	for _, n := range want {
		if !Known(n) {
			t.Errorf("%s is not known", n)
		}
	}
	for _, n := range []string{"", "WhatsApp", "imessage", "x", "sheet", "copy", "whatsapp "} {
		if Known(n) {
			t.Errorf("%q is a channel", n)
		}
	}
}

func TestAllIsTheCallersOwn(t *testing.T) {
	All()[0] = "changed"
	if Known("changed") || All()[0] == "changed" {
		t.Error("a caller changed the list")
	}
}
