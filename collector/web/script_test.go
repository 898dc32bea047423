package web

import "testing"

func TestScriptIsServed(t *testing.T) {
	r := start(t)
	const fixed, hashed = "/passalong.js", "/passalong.0123abcd.js"
	for _, c := range []struct {
		name   string
		path   string
		header map[string]string
		status int
		coding string
		body   string
	}{
		{"a browser of today", fixed, map[string]string{"Accept-Encoding": "gzip, deflate, br, zstd"}, 200, "br", "br"},
		{"an older one", fixed, map[string]string{"Accept-Encoding": "gzip, deflate"}, 200, "gzip", "gz"},
		{"one that takes nothing", fixed, map[string]string{"Accept-Encoding": "identity"}, 200, "", "plain()"},
		{"one that says nothing", fixed, nil, 200, "", "plain()"},
		{"one that refuses brotli", fixed, map[string]string{"Accept-Encoding": "br;q=0, gzip;q=0.5"}, 200, "gzip", "gz"},
		{"one that refuses brotli with three digits", fixed, map[string]string{"Accept-Encoding": "br; q=0.000, *"}, 200, "gzip", "gz"},
		{"one that takes anything", fixed, map[string]string{"Accept-Encoding": "*"}, 200, "br", "br"},
		{"in capitals", fixed, map[string]string{"Accept-Encoding": "GZIP"}, 200, "gzip", "gz"},
		{"by its hash", hashed, map[string]string{"Accept-Encoding": "br"}, 200, "br", "br"},
		{"known already", fixed, map[string]string{"If-None-Match": `W/"0123abcd"`, "Accept-Encoding": "br"}, 304, "", ""},
		{"known, as a proxy writes it", fixed, map[string]string{"If-None-Match": `"x", "0123abcd"`}, 304, "", ""},
		{"known, any", fixed, map[string]string{"If-None-Match": "*"}, 304, "", ""},
		{"known, another", fixed, map[string]string{"If-None-Match": `"0123abce"`}, 200, "", "plain()"},
		{"of another hash", "/passalong.ffffffff.js", nil, 404, "", `{"error":"not found"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.send("GET", c.path, c.header, nil)
			if a.status != c.status || a.body != c.body || a.header.Get("Content-Encoding") != c.coding {
				t.Errorf("%d %q coded %q, want %d %q %q", a.status, a.body, a.header.Get("Content-Encoding"), c.status, c.body, c.coding)
			}
			if c.status == 404 {
				return
			}
			cache := cacheFixed
			if c.path == hashed {
				cache = "public, max-age=31536000, immutable"
			}
			want := map[string]string{
				"Cache-Control": cache, "ETag": `W/"0123abcd"`, "Vary": "Accept-Encoding", "X-Content-Type-Options": "nosniff",
				"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin", "Set-Cookie": "",
			}
			if c.status == 200 {
				want["Content-Type"] = "text/javascript; charset=utf-8"
			}
			for name, value := range want {
				if got := a.header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
		})
	}
	a := r.send("HEAD", fixed, map[string]string{"Accept-Encoding": "br"}, nil)
	if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "2" || a.header.Get("Content-Encoding") != "br" {
		t.Errorf("HEAD: %d %q %v", a.status, a.body, a.header)
	}
	if a := r.send("POST", fixed, nil, nil); a.status != 405 || a.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", a.status, a.header)
	}
}

func TestHashedPath(t *testing.T) {
	for at, want := range map[string]string{
		"/passalong.js": "/passalong.h.js",
		"/js/n.min.js":  "/js/n.min.h.js",
		"/p":            "/p.h",
	} {
		if got := hashedPath(at, "h"); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}
