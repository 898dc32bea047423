package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/spool"
)

// Every answer of contract section 4, with its headers. "" means that a header
// must be absent.
func TestEveryAnswerOfTheContract(t *testing.T) {
	r := start(t)
	foreign := strings.Replace(beaconBody(), "https://news.example/a", "https://elsewhere.example/a", 1)
	for _, c := range []struct {
		name   string
		method string
		path   string
		header map[string]string
		body   string
		status int
		want   map[string]string // headers
		says   string
	}{
		{"a beacon", "POST", "/e", plain(), beaconBody(), 204,
			map[string]string{"Access-Control-Allow-Origin": "https://news.example", "Vary": "Origin", "Access-Control-Allow-Credentials": "", "Set-Cookie": "", "Server": "", "Content-Type": "", "Content-Length": "", "Cross-Origin-Resource-Policy": "cross-origin"}, ""},
		{"a beacon as application/json", "POST", "/e", plain("Content-Type", "application/json"), beaconBody(), 204, nil, ""},
		{"parameters and case of the type", "POST", "/e", plain("Content-Type", "Application/JSON ; charset=utf-8"), beaconBody(), 204, nil, ""},
		{"without an Origin, as from a server", "POST", "/e", plain("Origin", ""), beaconBody(), 204,
			map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}, ""},
		{"an Origin with a port", "POST", "/e", plain("Origin", "https://news.example:8443"), beaconBody(), 204,
			map[string]string{"Access-Control-Allow-Origin": "https://news.example:8443"}, ""},
		{"a content coding that is none", "POST", "/e", plain("Content-Encoding", "identity"), beaconBody(), 204, nil, ""},
		{"no signal: Sec-GPC 0, DNT 0", "POST", "/e", plain("Sec-GPC", "0", "DNT", "0"), beaconBody(), 204, nil, ""},

		{"no JSON", "POST", "/e", plain(), `{"site":`, 400,
			map[string]string{"Content-Type": "application/json", "Access-Control-Allow-Origin": "https://news.example", "Vary": "Origin"}, `"field"`},
		{"an empty body", "POST", "/e", plain(), "", 400, nil, `"error"`},
		{"a field that is wrong", "POST", "/e", plain(), strings.Replace(beaconBody(), `"view":"`, `"view":"x`, 1), 400,
			map[string]string{"Access-Control-Allow-Origin": "https://news.example"}, `"field":"view"`},
		{"a wrong field, told to another site", "POST", "/e", plain("Origin", "https://shop.example"), strings.Replace(beaconBody(), `"view":"`, `"view":"x`, 1), 400,
			map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}, `"field":"view"`},
		{"an unknown site", "POST", "/e", plain("Origin", "https://unknown.example"), strings.Replace(beaconBody(), `"news.example"`, `"unknown.example"`, 1), 403,
			map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}, `"field":"site"`},
		{"a page of somewhere else", "POST", "/e", plain(), foreign, 403,
			map[string]string{"Access-Control-Allow-Origin": "https://news.example"}, `"field":"page"`},
		{"an Origin of another site of ours", "POST", "/e", plain("Origin", "https://shop.example"), beaconBody(), 403,
			map[string]string{"Access-Control-Allow-Origin": "", "Vary": "Origin"}, `"error"`},
		{"the Origin null", "POST", "/e", plain("Origin", "null"), beaconBody(), 403,
			map[string]string{"Access-Control-Allow-Origin": ""}, `"error"`},
		{"an Origin that only looks like the site", "POST", "/e", plain("Origin", "https://news.example.evil.example"), beaconBody(), 403,
			map[string]string{"Access-Control-Allow-Origin": ""}, ""},
		{"too large", "POST", "/e", plain(), strings.Repeat("x", maxBody+1), 413,
			map[string]string{"Access-Control-Allow-Origin": "https://news.example", "Vary": "Origin", "Server": ""}, `"error"`},
		{"a form", "POST", "/e", plain("Content-Type", "application/x-www-form-urlencoded"), beaconBody(), 415,
			map[string]string{"Accept-Post": "text/plain, application/json", "Vary": "Origin", "Access-Control-Allow-Origin": "https://news.example"}, `"error"`},
		{"a multipart form", "POST", "/e", plain("Content-Type", "multipart/form-data; boundary=x"), "--x\r\n\r\n--x--", 415, nil, `"error"`},
		{"no type", "POST", "/e", plain("Content-Type", ""), beaconBody(), 415, nil, `"error"`},
		{"a type that begins like ours", "POST", "/e", plain("Content-Type", "text/plainer"), beaconBody(), 415, nil, `"error"`},
		{"gzip", "POST", "/e", plain("Content-Encoding", "gzip"), "\x1f\x8b", 415,
			map[string]string{"Accept-Encoding": "identity"}, `"error"`},
		{"a made-up coding", "POST", "/e", plain("Content-Encoding", "x"), beaconBody(), 415, nil, `"error"`},

		{"GET", "GET", "/e", plain(), "", 405, map[string]string{"Allow": "OPTIONS, POST", "Vary": "Origin"}, `"error"`},
		{"HEAD", "HEAD", "/e", nil, "", 405, map[string]string{"Allow": "OPTIONS, POST"}, ""},
		{"PUT", "PUT", "/e", plain(), beaconBody(), 405, map[string]string{"Allow": "OPTIONS, POST"}, `"error"`},
		{"a method nobody knows", "BREW", "/e", plain(), beaconBody(), 405, map[string]string{"Allow": "OPTIONS, POST"}, `"error"`},
		{"a preflight", "OPTIONS", "/e", map[string]string{"Origin": "https://www.shop.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}, "", 204,
			map[string]string{"Access-Control-Allow-Origin": "https://www.shop.example", "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type", "Access-Control-Max-Age": "86400", "Vary": "Origin", "Access-Control-Allow-Credentials": ""}, ""},
		{"a preflight from elsewhere", "OPTIONS", "/e", map[string]string{"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}, "", 204,
			map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Methods": "", "Vary": "Origin"}, ""},

		{"alive", "GET", "/healthz", nil, "", 200, map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Server": ""}, `{"status":"alive"}`},
		{"alive, by HEAD", "HEAD", "/healthz", nil, "", 200, map[string]string{"Content-Length": "18"}, ""},
		{"ready", "GET", "/readyz", nil, "", 200, nil, `{"status":"ready"}`},
		{"ready does not take POST", "POST", "/readyz", nil, "", 405, map[string]string{"Allow": "GET, HEAD"}, `"error"`},
		{"what this is", "GET", "/", nil, "", 200, map[string]string{"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"}, "dashboard comes with a"},
		{"nothing there", "GET", "/nothing", nil, "", 404, map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}, `{"error":"not found"}`},
		{"nothing there, by a method nobody knows", "BREW", "/nothing", nil, "", 404, nil, `{"error":"not found"}`},
		{"case of the path", "POST", "/E", plain(), beaconBody(), 404, nil, ""},
		{"a slash too many", "POST", "/e/", plain(), beaconBody(), 404, nil, ""},
		{"no pages without a folder", "GET", "/pages/index.html", nil, "", 404, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.send(c.method, c.path, c.header, strings.NewReader(c.body))
			if a.status != c.status {
				t.Errorf("%d %s, want %d", a.status, a.body, c.status)
			}
			for name, want := range c.want {
				if got := strings.Join(a.header.Values(name), " | "); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !strings.Contains(a.body, c.says) {
				t.Errorf("body %q does not say %s", a.body, c.says)
			}
			if c.status == 204 && a.body != "" || strings.Contains(a.body, "news.example/a") {
				t.Errorf("body %q", a.body)
			}
		})
	}
	if strings.Contains(r.log.String(), "level=") {
		t.Errorf("the log speaks of single beacons:\n%s", r.log)
	}
}

// What intake is handed is what was sent, and stays so after the connection's
// buffers have served other requests.
func TestWhatIntakeIsHanded(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := start(t, func(o *Options) { o.Now = func() time.Time { return at } })
	a := r.send("POST", "/e", plain("User-Agent", "Mozilla/5.0 (Linux; Android 15)", "X-Requested-With", "com.whatsapp", "X-Forwarded-For", "203.0.113.7"), strings.NewReader(beaconBody()))
	if a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	first := r.door.request()
	r.send("POST", "/e", plain("User-Agent", strings.Repeat("x", 31), "X-Requested-With", strings.Repeat("y", 12)), strings.NewReader(strings.Repeat(" ", len(beaconBody()))))
	if first.Agent != "Mozilla/5.0 (Linux; Android 15)" || first.Package != "com.whatsapp" || first.Origin != "https://news.example" ||
		first.Address.String() != "203.0.113.7" || !first.Received.Equal(at) || string(first.Body) != beaconBody() {
		t.Errorf("intake was handed %+v\nbody %s", first, first.Body)
	}
}

func TestPrivacySignalKeepsNothing(t *testing.T) {
	r := start(t)
	for _, c := range []struct {
		name   string
		header map[string]string
		body   string
		site   string // it is counted under
	}{
		{"Sec-GPC", plain("Sec-GPC", "1"), beaconBody(), "news.example"},
		{"DNT", plain("DNT", "1"), beaconBody(), "news.example"},
		{"both", plain("DNT", "1", "Sec-GPC", "1"), beaconBody(), "news.example"},
		{"with a body that is no beacon", plain("Sec-GPC", "1", "Origin", "https://shop.example"), "nonsense", "shop.example"},
		{"of a site we do not know", plain("Sec-GPC", "1", "Origin", "https://elsewhere.example"), "{}", "other"},
	} {
		name := fmt.Sprintf("passalong_filtered_total{reason=%q,site=%q}", "gpc", c.site)
		before := r.figure(name)
		if a := r.send("POST", "/e", c.header, strings.NewReader(c.body)); a.status != 204 || a.body != "" {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
		if after := r.figure(name); after == before {
			t.Errorf("%s: not counted under %s", c.name, c.site)
		}
	}
	if got := r.door.request(); got.Body != nil {
		t.Errorf("intake saw %s", got.Body)
	}
	if kept := r.disk.kept(); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

func TestUnavailableIsA503WithRetryAfter(t *testing.T) {
	secret := "https://news.example/a?secret from 203.0.113.7"
	for _, c := range []struct {
		name  string
		set   func(*running)
		retry string
		says  string
	}{
		{"the spool is full", func(r *running) { r.disk.fail = fmt.Errorf("append: %w", spool.ErrFull) }, "30", `{"error":"the spool is full"}`},
		{"the spool is closed", func(r *running) { r.disk.fail = spool.ErrClosed }, "5", `{"error":"beacons cannot be stored now"}`},
		{"a disk in trouble", func(r *running) { r.disk.fail = errors.New("input/output error") }, "5", `{"error":"beacons cannot be stored now"}`},
		{"intake has a fault", func(r *running) { r.door.fail = errors.New("salt: permission denied") }, "5", `{"error":"beacons cannot be stored now"}`},
		{"a disk too slow", func(r *running) {
			r.disk.wait = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}, "5", `{"error":"beacons cannot be stored now"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(o *Options) { o.AppendTimeout = 50 * time.Millisecond })
			c.set(r)
			for range 3 {
				a := r.send("POST", "/e", plain("User-Agent", secret), strings.NewReader(beaconBody()))
				if a.status != 503 || a.header.Get("Retry-After") != c.retry || a.body != c.says || a.header.Get("Access-Control-Allow-Origin") != "https://news.example" {
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
			}
			if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d lines for three beacons, want one:\n%s", n, r.log)
			}
			if strings.Contains(r.log.String(), "secret") || strings.Contains(r.log.String(), goodToken) {
				t.Errorf("the log tells too much:\n%s", r.log)
			}
		})
	}
}

func TestPanicIsA500AndTheServerLives(t *testing.T) {
	r := start(t)
	r.door.panic = "the address 203.0.113.7"
	a := r.send("POST", "/e", plain(), strings.NewReader(beaconBody()))
	if a.status != 500 || a.body != `{"error":"internal error"}` || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if log := r.log.String(); !strings.Contains(log, "request panicked") || strings.Contains(log, "203.0.113.7") {
		t.Errorf("log:\n%s", log)
	}
	r.door.panic = nil
	if a := r.send("POST", "/e", plain(), strings.NewReader(beaconBody())); a.status != 204 {
		t.Errorf("afterwards: %d", a.status)
	}
	for name, want := range map[string]string{"passalong_panics_total": "1", `passalong_beacons_total{answer="500"}`: "1", `passalong_beacons_total{answer="204"}`: "1"} {
		if got := r.figure(name); got != want {
			t.Errorf("%s %s, want %s", name, got, want)
		}
	}
}

func TestBeaconsAreCounted(t *testing.T) {
	r := start(t)
	body := strings.Replace(beaconBody(), `{"type":"view","age":0}`, `{"type":"view","age":0},{"type":"copy","age":0,"what":"text"}`, 1)
	r.send("POST", "/e", plain(), strings.NewReader(body))
	r.send("POST", "/e", plain("User-Agent", "a bot"), strings.NewReader(beaconBody()))
	r.send("POST", "/e", plain("Origin", "https://shop.example"), strings.NewReader(beaconBody()))
	r.send("POST", "/e", plain(), strings.NewReader("{"))
	for name, want := range map[string]string{
		`passalong_beacons_total{answer="204"}`:                          "2",
		`passalong_beacons_total{answer="400"}`:                          "1",
		`passalong_beacons_total{answer="403"}`:                          "1",
		`passalong_events_total{type="view"}`:                            "2",
		`passalong_events_total{type="copy"}`:                            "1",
		`passalong_filtered_total{reason="bot",site="news.example"}`:     "1",
		`passalong_filtered_total{reason="foreign",site="news.example"}`: "1",
		`passalong_beacon_seconds_count`:                                 "2",
		`passalong_connections`:                                          "1",
	} {
		if got := r.figure(name); got != want {
			t.Errorf("%s %s, want %s", name, got, want)
		}
	}
}

func TestReadyzTellsWhyNot(t *testing.T) {
	reason := "the schema is being applied"
	r := start(t, func(o *Options) { o.Ready = func() string { return reason } })
	if a := r.send("GET", "/readyz", nil, nil); a.status != 503 || a.body != `{"status":"not ready","reason":"the schema is being applied"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	reason = ""
	if a := r.send("GET", "/readyz", nil, nil); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestWhoMaySeeMetrics(t *testing.T) {
	for _, c := range []struct {
		name   string
		token  string // of the collector
		header map[string]string
		status int
	}{
		{"from this machine", "open sesame", nil, 200},
		{"through a proxy on this machine", "open sesame", map[string]string{"X-Forwarded-For": "203.0.113.7"}, 401},
		{"through one that says so otherwise", "open sesame", map[string]string{"Forwarded": "for=203.0.113.7"}, 401},
		{"through one that only says https", "open sesame", map[string]string{"X-Forwarded-Proto": "https"}, 401},
		{"an empty forwarding header", "open sesame", map[string]string{"X-Forwarded-For": ""}, 401},
		{"through a proxy with the token", "open sesame", map[string]string{"X-Forwarded-For": "203.0.113.7", "Authorization": "Bearer open sesame"}, 200},
		{"the scheme in lower case", "open sesame", map[string]string{"X-Forwarded-For": "203.0.113.7", "Authorization": "bearer open sesame"}, 200},
		{"with a wrong token", "open sesame", map[string]string{"X-Forwarded-For": "203.0.113.7", "Authorization": "Bearer open"}, 401},
		{"with the token as a password", "open sesame", map[string]string{"X-Forwarded-For": "203.0.113.7", "Authorization": "Basic open sesame"}, 401},
		{"an empty token where none is set", "", map[string]string{"X-Forwarded-For": "203.0.113.7", "Authorization": "Bearer "}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, func(o *Options) { o.AdminToken = c.token })
			a := r.send("GET", "/metrics", c.header, nil)
			if a.status != c.status {
				t.Errorf("%d, want %d", a.status, c.status)
			}
			if (c.status == 200) != strings.Contains(a.body, "passalong_beacons_total") {
				t.Errorf("body %.200s", a.body)
			}
			if c.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
}

func TestPathsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"the script where beacons go", Options{ScriptPath: "/x", EndpointPath: "/x"}},
		{"the endpoint on the health check", Options{EndpointPath: "/healthz"}},
		{"the endpoint on the front page", Options{EndpointPath: "/"}},
		{"the endpoint among the short links", Options{EndpointPath: "/s/e"}},
		{"the script among the pages", Options{ScriptPath: "/pages/p.js"}},
		{"the endpoint where the API will be", Options{EndpointPath: "/api"}},
		{"a pattern", Options{EndpointPath: "/e/*"}},
		{"a parameter", Options{EndpointPath: "/:e"}},
		{"a query", Options{EndpointPath: "/e?x"}},
		{"no slash", Options{EndpointPath: "e"}},
		{"a space", Options{ScriptPath: "/p .js"}},
	} {
		c.o.Intake, c.o.Spool, c.o.Sites = &door{}, &disk{}, sites(t)
		c.o.Script = Script{Body: []byte("x"), Hash: "h"}
		if _, err := New(c.o); err == nil {
			t.Errorf("%s was taken", c.name)
		}
	}
}

func TestConfiguredPathsAreServed(t *testing.T) {
	r := start(t, func(o *Options) { o.ScriptPath, o.EndpointPath = "/js/n.js", "/in/beacon" })
	if a := r.send("POST", "/in/beacon", plain(), strings.NewReader(beaconBody())); a.status != 204 {
		t.Errorf("beacon: %d %s", a.status, a.body)
	}
	for path, want := range map[string]int{"/js/n.js": 200, r.ScriptPath(): 200, "/e": 404, "/passalong.js": 404} {
		if a := r.send("GET", path, nil, nil); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	if r.ScriptPath() != "/js/n.0123abcd.js" {
		t.Errorf("hashed path %s", r.ScriptPath())
	}
}

// A refusal leaves nothing behind in the buffers that the next answer uses.
func TestAnswersDoNotMix(t *testing.T) {
	r := start(t)
	var got []int
	for i := range 40 {
		body, want := beaconBody(), 204
		if i%3 == 1 {
			body, want = "{", 400
		}
		a := r.send("POST", "/e", plain(), strings.NewReader(body))
		if a.status != want {
			got = append(got, a.status)
		}
		if i%3 == 1 && !strings.HasPrefix(a.body, `{"error":`) || i%3 != 1 && a.body != "" {
			t.Errorf("request %d: body %q", i, a.body)
		}
	}
	if len(got) > 0 {
		t.Errorf("unexpected answers %v", slices.Compact(got))
	}
}

func TestExpectContinue(t *testing.T) {
	r := start(t)
	req, err := http.NewRequest("POST", r.url+"/e", strings.NewReader(beaconBody()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Content-Type", "text/plain")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 204 {
		t.Errorf("%s", res.Status)
	}
}
