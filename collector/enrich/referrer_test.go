package enrich

import (
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/channel"
	"github.com/passalong/passalong/collector/site"
)

var site0 = func() *site.Site {
	s, err := site.New("news.example", "news.example", "*.news.example")
	if err != nil {
		panic(err)
	}
	return s
}()

func TestReferrer(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct{ name, raw, referrer, kind, channel string }{
		{"none", "", "", "", ""},
		{"own page", "https://news.example/b?x=1", "https://news.example/b", "internal", ""},
		{"own subdomain, upper case and port", "https://WWW.News.Example:8443/", "https://www.news.example:8443/", "internal", ""},
		{"query and fragment go", "https://blog.example/p?q=secret#f", "https://blog.example/p", "referral", ""},
		{"an origin without a slash", "https://t.co", "https://t.co/", "social", "twitter"},
		{"upper case, port and dot", "HTTPS://L.Facebook.COM.:443/l.php?u=x", "https://l.facebook.com/l.php", "social", "facebook"},
		{"link shim of Instagram", "https://l.instagram.com/", "https://l.instagram.com/", "social", "instagram"},
		{"link shim of Reddit", "https://out.reddit.com/", "https://out.reddit.com/", "social", "reddit"},
		{"WhatsApp in a browser", "https://web.whatsapp.com/", "https://web.whatsapp.com/", "messenger", "whatsapp"},
		{"Telegram in a browser", "https://web.telegram.org/k/", "https://web.telegram.org/k/", "messenger", "telegram"},
		{"Teams by its safe-links bounce", "https://statics.teams.cdn.office.net/evergreen-assets/safelinks/1/", "https://statics.teams.cdn.office.net/evergreen-assets/safelinks/1/", "messenger", "teams"},
		{"Gmail before Google", "https://mail.google.com/", "https://mail.google.com/", "email", "email"},
		{"Outlook's safe links", "https://eur01.safelinks.protection.outlook.com/", "https://eur01.safelinks.protection.outlook.com/", "email", "email"},
		{"a provider's webmail", "https://webmail.provider.example/", "https://webmail.provider.example/", "email", "email"},
		{"Google, France", "https://www.google.fr/", "https://www.google.fr/", "search", ""},
		{"Google, United Kingdom", "https://www.google.co.uk/", "https://www.google.co.uk/", "search", ""},
		{"Google Docs is no search", "https://docs.google.com/", "https://docs.google.com/", "referral", ""},
		{"Google News", "https://news.google.com/", "https://news.google.com/", "aggregator", ""},
		{"AI assistant", "https://chatgpt.com/", "https://chatgpt.com/", "ai", ""},
		{"video", "https://www.youtube.com/", "https://www.youtube.com/", "video", ""},
		{"shop", "https://www.amazon.de/", "https://www.amazon.de/", "shopping", ""},
		{"Slack's app", "android-app://com.Slack", "android-app://com.slack/", "messenger", "slack"},
		{"Slack's app, other spelling", "ANDROID-APP://com.slack/", "android-app://com.slack/", "messenger", "slack"},
		{"Telegram's app with a path", "android-app://org.telegram.messenger/https/x", "android-app://org.telegram.messenger/", "messenger", "telegram"},
		{"Gmail's app", "android-app://com.google.android.gm/", "android-app://com.google.android.gm/", "email", "email"},
		{"Google's app", "android-app://com.google.android.googlequicksearchbox/", "android-app://com.google.android.googlequicksearchbox/", "search", ""},
		{"an app without a row", "android-app://com.example.reader/", "android-app://com.example.reader/", "referral", ""},
		{"an app that is none", "android-app://x/", "", "", ""},
		{"a Mastodon instance", "https://mastodon.social/", "https://mastodon.social/", "social", "mastodon"},
		{"a public network without a channel", "https://www.tumblr.com/", "https://www.tumblr.com/", "social", ""},
		{"a file", "file:///a.html", "", "", ""},
		{"about", "about:client", "", "", ""},
		{"no address", "t.co", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, want := f.referrer(c.raw, site0), (source{c.referrer, c.kind, c.channel}); got != want {
				t.Errorf("%q: got %+v, want %+v", c.raw, got, want)
			}
		})
	}
}

func TestPackageKey(t *testing.T) {
	for name, want := range map[string]string{
		"com.whatsapp": "com.whatsapp", "com.Slack": "com.slack",
		"XMLHttpRequest": "", "": "", "com whatsapp": "", "com.whatsapp\n": "", ".com.whatsapp": "", "com.wh\u00e4tsapp": "",
		"com." + strings.Repeat("a", 300): "",
	} {
		if got, ok := packageKey(name); got != want || ok != (want != "") {
			t.Errorf("packageKey(%q) = %q, %v", name, got, ok)
		}
	}
}

func FuzzReferrer(f *testing.F) {
	tables := builtin(f)
	for _, s := range []string{"https://t.co/", "android-app://com.Slack", "https://" + strings.Repeat("a.", 200) + "t.co", "https://\u212a.com", "http://[::1", "https://@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := tables.referrer(raw, site0)
		if strings.ContainsAny(got.referrer, "?#") {
			t.Errorf("%q keeps %q", raw, got.referrer)
		}
		if got.channel != "" && !channel.Known(got.channel) || got.kind != "" && got.kind != "internal" && !kinds[got.kind] {
			t.Errorf("%q is %+v", raw, got)
		}
		if (got.referrer == "") != (got.kind == "") {
			t.Errorf("%q is %+v", raw, got)
		}
	})
}
