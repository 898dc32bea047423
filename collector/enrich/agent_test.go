package enrich

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/passalong/passalong/collector/channel"
)

const (
	webview = "Mozilla/5.0 (Linux; Android 15; Pixel 8 Build/AP4A.250105.002; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.200 Mobile Safari/537.36"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22C152"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)

func TestDeviceSystemBrowser(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct {
		name, agent, device, system, browser string
		major                                uint32
	}{
		{"Chrome on Windows", windows, "desktop", "Windows", "Chrome", 131},
		{"Chrome on Android, frozen", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", "phone", "Android", "Chrome", 131},
		{"Chrome on a tablet", "Mozilla/5.0 (Linux; Android 13; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "tablet", "Android", "Chrome", 131},
		{"Chrome on iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.154 Mobile/15E148 Safari/604.1", "phone", "iOS", "Chrome", 131},
		{"Chrome on a Chromebook", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "desktop", "ChromeOS", "Chrome", 131},
		{"Safari on iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148 Safari/604.1", "phone", "iOS", "Safari", 18},
		{"Safari on Mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15", "desktop", "macOS", "Safari", 18},
		{"an iPad that calls itself a Mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148 Safari/604.1", "tablet", "iOS", "Safari", 18},
		{"Chrome on an iPad that calls itself a Mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131 Version/11.1.1 Safari/605.1.15", "tablet", "iOS", "Chrome", 131},
		{"Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0", "desktop", "Linux", "Firefox", 133},
		{"Firefox on Android", "Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", "phone", "Android", "Firefox", 133},
		{"Firefox on iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/133.0 Mobile/15E148 Safari/605.1.15", "phone", "iOS", "Firefox", 133},
		{"Samsung Internet", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36", "phone", "Android", "Samsung Internet", 27},
		{"Edge on Windows", windows + " Edg/131.0.0.0", "desktop", "Windows", "Edge", 131},
		{"Edge on Android", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 EdgA/131.0.0.0", "phone", "Android", "Edge", 131},
		{"Edge on iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/131.0.2903.92 Mobile/15E148 Safari/605.1.15", "phone", "iOS", "Edge", 131},
		{"Opera", windows + " OPR/116.0.0.0", "desktop", "Windows", "Opera", 116},
		{"Internet Explorer 11", "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "desktop", "Windows", "Internet Explorer", 11},
		{"Android WebView", webview, "phone", "Android", "Android WebView", 131},
		{"iOS WebView", iphone, "phone", "iOS", "iOS WebView", 0},
		{"Facebook on iPhone", iphone + " [FBAN/FBIOS;FBAV/493.0.0.53.103;FBBV/674379393;FBDV/iPhone14,5;FBMD/iPhone;FBSN/iOS;FBSV/18.2;FBOP/5;FBRV/0;IABMV/1]", "phone", "iOS", "Facebook", 493},
		{"Google's app", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) GSA/347.0.703 Mobile/15E148 Safari/604.1", "phone", "iOS", "Google App", 347},
		{"a television", "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.211 Safari/537.36 WebAppManager", "tv", "webOS", "Chrome", 108},
		{"a console", "Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.4 Safari/605.1.15", "tv", "PlayStation", "Safari", 16},
		{"Windows Phone", "Mozilla/5.0 (Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/52.0.2743.116 Mobile Safari/537.36 Edge/15.15254", "phone", "Windows Phone", "Edge", 15},
		{"a system that nobody knows", "Mozilla/5.0 (Haiku; rv:20.0) Thing/1.0", "", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := f.judge(c.agent)
			if v.Bot || v.Device != c.device || v.OS != c.system || v.Browser != c.browser || v.Major != c.major {
				t.Errorf("got %+v, want %s, %s, %s %d\nof %s", v, c.device, c.system, c.browser, c.major, c.agent)
			}
		})
	}
}

func TestApp(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct{ name, agent, app string }{
		{"no app", webview, ""},
		{"Facebook", webview + " [FB_IAB/FB4A;FBAV/493.0.0.53.103;]", "facebook"},
		{"Messenger, which also says FBAV", webview + " [FB_IAB/Orca-Android;FBAV/486.0.0.36.85;]", "messenger"},
		{"Messenger on iPhone", iphone + " [FBAN/MessengerForiOS;FBAV/486.0.0;FBDV/iPhone14,5]", "messenger"},
		{"Messenger or Facebook", webview + " MetaIAB", "meta"},
		{"Facebook by its new name", webview + " MetaIAB Facebook", "facebook"},
		{"a Meta app without a row", iphone + " [FBAN/SomethingNew;FBAV/1.0]", "meta"},
		{"Instagram", iphone + " Instagram 360.0.0.30.109 (iPhone14,5; iOS 18_2; fr_FR; fr; scale=3.00; 1170x2532; 674379393; IABMV/1)", "instagram"},
		{"Threads", iphone + " Barcelona 360.0.0.25.109 (iPhone14,5; iOS 18_2; fr_FR; fr; scale=3.00)", "threads"},
		{"WhatsApp on iPhone, with Safari's own agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1 [WAiOS/2.26.40]", "whatsapp"},
		{"Telegram", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 Telegram-Android/12.9.2 (Samsung SM-S918B; Android 16; SDK 36; HIGH)", "telegram"},
		{"WeChat and the version of its QQ kernel", webview + " MQQBrowser/6.2 TBS/045 MicroMessenger/8.0.1 QQ/6.6", "wechat"},
		{"QQ's own browser is not QQ", webview + " MQQBrowser/14.9", ""},
		{"an agent that claims two apps", webview + " Line/14.1/IAB Viber/22", ""},
		{"an agent that claims three", iphone + " Instagram 1 Snapchat/2 [LinkedInApp]", ""},
		{"two rows of one app", webview + " V1_AND_SQ_9 QQ/9.0.1", "qq"},
		{"a bot in an app's clothes", webview + " [FB_IAB/FB4A;FBAV/493;] Googlebot/2.1", ""},
		{"the app's name cut off by our limit", webview + strings.Repeat(" x/1", 300) + " Line/14.1/IAB", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := newAgents(f)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.verdict(c.agent).App; got != c.app {
				t.Errorf("got %q, want %q", got, c.app)
			}
		})
	}
}

func TestBot(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct {
		name, agent string
		bot         bool
	}{
		{"no agent", "", true},
		{"spaces", "  ", true},
		{"declared", "Mozilla/5.0 (compatible; NewsBot/1.0)", true},
		{"declared, in a browser's clothes", windows + " (compatible; Acmebot/2.1)", true},
		{"a crawler by word", windows + " MegaCrawler", true},
		{"a home page", "Mozilla/5.0 (Windows NT 10.0) Acme/1.0 (+https://acme.example/about)", true},
		{"a mail address", "Mozilla/5.0 (X11; Linux x86_64) Acme/1.0 crew@acme.example", true},
		{"a library", "python-requests/2.32.3", true},
		{"a program by one word", "Acme", true},
		{"a program by its first name", "Acme/1.0 (Linux)", true},
		{"Mozilla and no more", "Mozilla/5.0", true},
		{"a headless browser", strings.Replace(windows, "Chrome/", "HeadlessChrome/", 1), true},
		{"a monitor", windows + " AcmeMonitor/2", true},
		{"an AI's errand", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot", true},
		{"a browser", windows, false},
		{"an in-app browser", webview + " Line/14.1/IAB", false},
		{"an in-app browser that names a page", iphone + " Instagram 360.0 (https://www.instagram.com)", false},
		{"a Cubot phone", "Mozilla/5.0 (Linux; Android 13; CUBOT P80 Build/TP1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", false},
		{"a Cubot phone written in one word", "Mozilla/5.0 (Linux; Android 13; CUBOT_P80 Build/TP1A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36", false},
		{"Googlebot on a Cubot phone", "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1)", true},
		{"Internet Explorer says compatible", "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", false},
		{"a bot that says it is Internet Explorer", "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0; +http://acme.example)", true},
		{"a version with an at-sign", "Mozilla/5.0 (Linux; Android 9; SM-T720) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/101.0.0.0 Safari/537.36 (Ecosia android@101.0.4951.41)", false},
		{"a locale with an at-sign", iphone + " Acme 7.10 (nl_NL@calendar=buddhist)", false},
		{"Opera of old", "Opera/9.80 (Windows NT 6.1; U; en) Presto/2.10.289 Version/12.02", false},
		{"spaces taken out", strings.ReplaceAll(windows, " ", ""), false},
		{"control characters", "\x00\x01\x02", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := f.judge(c.agent); v.Bot != c.bot || v.Bot && (v.Device != "bot" || v.App != "") {
				t.Errorf("got %+v, want bot %v\nof %s", v, c.bot, c.agent)
			}
		})
	}
}

// The order in which preview fetchers are told, channel facts B2: half of them
// borrow the name of Meta's.
func TestPreview(t *testing.T) {
	f := builtin(t)
	for _, c := range []struct{ name, agent, channel, side string }{
		{"iMessage: three borrowed names", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", "sms", "sender"},
		{"LINE", "facebookexternalhit/1.1;line-poker/1.0", "line", "server"},
		{"KakaoTalk", "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984", "kakaotalk", "server"},
		{"Naver", "facebookexternalhit/1.1 (compatible; Blueno/1.0; +http://naver.me/scrap)", "other", "server"},
		{"Meta", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "facebook", "server"},
		{"WhatsApp", "WhatsApp/2.24.25.78 A", "whatsapp", "sender"},
		{"WhatsApp on iPhone", "WhatsApp/2.24.25/i", "whatsapp", "sender"},
		{"Signal, by WhatsApp's name and no more", "WhatsApp/2", "signal", "sender"},
		{"Telegram, like Twitterbot", "TelegramBot (like TwitterBot)", "telegram", "server"},
		{"X", "Twitterbot/1.0", "twitter", "server"},
		{"Slack", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "slack", "server"},
		{"Discord", "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "discord", "server"},
		{"Skype and Teams", "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com", "skype", "server"},
		{"a Mastodon instance", "http.rb/5.2.0 (Mastodon/4.3.2; +https://social.example/)", "mastodon", "server"},
		{"no preview", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "", ""},
		{"WhatsApp's own browser is a person", windows + " WhatsApp/2.2450", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := f.judge(c.agent); v.Preview != c.channel || v.Side != c.side || c.channel != "" && !v.Bot {
				t.Errorf("got %+v, want %q by the %s", v, c.channel, c.side)
			}
		})
	}
}

// hostile are agents that are made to be slow.
func hostile() []string {
	var all []string
	for _, piece := range []string{"bot", "cubot ", "compatible; MSIE", "(", "[", "a@", "http://", "FBAN/", "Mozilla/5.0 (", "\x00", "Line/1 ", "é", " ", "facebookexternalhit "} {
		all = append(all, strings.Repeat(piece, 64<<10/len(piece)))
	}
	return all
}

func TestHostileAgentsAreFast(t *testing.T) {
	f := builtin(t)
	a, err := newAgents(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, agent := range hostile() {
		start := time.Now()
		a.verdict(agent)
		// A loop gone wrong takes minutes on 64 KiB; a busy machine takes long for anything.
		if took := time.Since(start); took > time.Second {
			t.Errorf("%.20q… took %v", agent, took)
		}
	}
}

// However many agents pass, the cache does not grow past its bound.
func TestCacheIsBounded(t *testing.T) {
	a, err := newAgents(builtin(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20000 {
		a.verdict("Mozilla/5.0 (made up) " + strings.Repeat("x", 900) + time.Duration(i).String())
	}
	a.cache.CleanUp()
	if w := a.cache.WeightedSize(); w > cacheBytes {
		t.Errorf("%d bytes, want at most %d", w, cacheBytes)
	}
}

func FuzzAgent(f *testing.F) {
	tables := builtin(f)
	for _, agent := range hostile() {
		f.Add(agent[:200])
	}
	for _, agent := range []string{"", windows, webview, iphone, "Opera", "Mozilla/5.0 (", "Mozilla/5.0 () Gecko", "Dalvik ("} {
		f.Add(agent)
	}
	devices := []string{"", "phone", "tablet", "desktop", "tv", "bot"}
	f.Fuzz(func(t *testing.T, agent string) {
		if len(agent) > maxAgent {
			agent = agent[:maxAgent]
		}
		v := tables.judge(agent)
		if v != tables.judge(agent) {
			t.Errorf("%q has two verdicts", agent)
		}
		if v.App != "" && (v.Bot || !channel.Known(v.App)) || !slices.Contains(devices, v.Device) || (v.Preview != "") != (v.Side != "") || v.Preview != "" && !v.Bot {
			t.Errorf("%q: %+v", agent, v)
		}
		if len(v.Browser) > 40 || len(v.OS) > 24 {
			t.Errorf("%q leaves %q, %q", agent, v.Browser, v.OS)
		}
	})
}

// An agent lies in the buffer of a connection, which the next request writes
// over. What the caches know must stay what it was.
func TestCachedAgentsAreCopies(t *testing.T) {
	a, err := newAgents(builtin(t))
	if err != nil {
		t.Fatal(err)
	}
	const agent = "Mozilla/5.0 (X11; OpenBSD amd64; rv:109.0) Gecko/20100101 SeaMonkey/2.53"
	buffer := []byte(agent)
	want := a.verdict(unsafe.String(&buffer[0], len(buffer)))
	clear(buffer)
	if k, ok := a.cache.GetIfPresent(agent); !ok || k.agent != agent || k.verdict != want {
		t.Errorf("the cache has %+v, want %s: %+v", k, agent, want)
	}
	for i := range a.front {
		if k := a.front[i].Load(); k != nil && (k.agent != agent || k.verdict != want) {
			t.Errorf("the front has %+v", k)
		}
	}
}

// Two agents of one place in the front do not get each other's verdict.
func TestAgentsThatShareAPlace(t *testing.T) {
	a, err := newAgents(builtin(t))
	if err != nil {
		t.Fatal(err)
	}
	agents := population(fronts)
	want := map[string]Verdict{}
	for _, agent := range agents {
		want[agent] = a.facts.judge(agent)
	}
	for round := range 2 {
		for _, agent := range agents {
			if got := a.verdict(agent); got != want[agent] {
				t.Fatalf("round %d: %s: %+v, want %+v", round, agent, got, want[agent])
			}
		}
	}
}
