package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/passalong/passalong/collector/config"
	"github.com/passalong/passalong/collector/site"
)

// parse reads settings as the command line does.
func parse(t *testing.T, file string, args ...string) (*config.Config, error) {
	t.Helper()
	var cli struct {
		File config.File `name:"config"`
		config.Config
	}
	var out bytes.Buffer
	k, err := kong.New(&cli, kong.DefaultEnvars(config.EnvPrefix), kong.Configuration(config.Load), kong.Writers(&out, &out))
	if err != nil {
		t.Fatal(err)
	}
	if file != "" {
		path := filepath.Join(t.TempDir(), "passalong.toml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	_, err = k.Parse(args)
	return &cli.Config, err
}

func TestDefaultsAreTheContracts(t *testing.T) {
	c, err := parse(t, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		name      string
		got, want any
	}{
		{"listen", c.Listen, ":8080"},
		{"flush-interval", c.FlushInterval, time.Second},
		{"flush-rows", c.FlushRows, 50000},
		{"spool-limit", c.SpoolLimit, config.Bytes(10 << 30)},
		{"embedded-memory", c.EmbeddedMemory, config.Bytes(1 << 30)},
		{"embedded-tcp", c.EmbeddedTCP, "127.0.0.1:0"},
		{"embedded-http", c.EmbeddedHTTP, ""},
		{"rate-limit", c.RateLimit, config.Rate{PerSecond: 50, Burst: 200}},
		{"retention", c.Retention, config.Span{Months: 25}},
		{"script-path", c.ScriptPath, "/passalong.js"},
		{"endpoint-path", c.EndpointPath, "/e"},
		{"privacy", c.Privacy, "full"},
		{"trusted-proxies", len(c.TrustedProxies), 2},
	}
	for _, w := range want {
		if w.got != w.want {
			t.Errorf("%s: got %v, want %v", w.name, w.got, w.want)
		}
	}
}

func TestOneNameInThreeSpellings(t *testing.T) {
	const file = "listen = \":1\"\nflush-interval = \"3s\"\nflush-rows = 7\ntrusted-proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\nsite = [\"file.example\"]\n"
	c, err := parse(t, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":1" || c.FlushInterval != 3*time.Second || c.FlushRows != 7 || len(c.TrustedProxies) != 2 || c.Site[0].ID != "file.example" {
		t.Errorf("file: got %+v", c)
	}

	t.Setenv("PASSALONG_LISTEN", ":2")
	t.Setenv("PASSALONG_SITE", "env.example=env.example,*.env.example;other.example")
	c, err = parse(t, file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":2" {
		t.Errorf("environment beats file: got listen %s", c.Listen)
	}
	if len(c.Site) != 2 || c.Site[0].ID != "env.example" || len(c.Site[0].Domains) != 2 || c.Site[1].ID != "other.example" {
		t.Errorf("environment's sites: got %+v", c.Site)
	}

	c, err = parse(t, file, "--listen", ":3", "--site", "a.example", "--site", "b.example=b.example,*.b.example")
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":3" || c.FlushRows != 7 {
		t.Errorf("flag beats environment beats file: got listen %s, flush-rows %d", c.Listen, c.FlushRows)
	}
	if len(c.Site) != 2 || c.Site[1].Domains[1] != "*.b.example" {
		t.Errorf("flag's sites: got %+v", c.Site)
	}
}

func TestSiteTables(t *testing.T) {
	c, err := parse(t, `
[[site]]
id = "news.example"
domains = ["news.example", "*.news.example"]
privacy = "strict"
quotes = true
timezone = "Europe/Paris"
currency = "chf"
[[site.alert]]
channel = "whatsapp"
[[site]]
id = "shop.example"
`)
	if err != nil {
		t.Fatal(err)
	}
	sites, err := c.Sites()
	if err != nil {
		t.Fatal(err)
	}
	news := sites["news.example"]
	if news.Privacy != site.Strict || news.Quotes || news.Location.String() != "Europe/Paris" || news.Currency != "CHF" || !news.Owns("www.news.example:8443") {
		t.Errorf("news: got %+v (a strict site keeps no quotes)", news)
	}
	if shop := sites["shop.example"]; shop.Privacy != site.Full || shop.Currency != "EUR" || !shop.Owns("SHOP.example.") {
		t.Errorf("shop: got %+v", shop)
	}
}

func TestEmptyListsInTheFile(t *testing.T) {
	c, err := parse(t, "site = []\ntrusted-proxies = []\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Site) != 0 || len(c.TrustedProxies) != 0 {
		t.Errorf("got sites %v, proxies %v, want none: the file beats the default", c.Site, c.TrustedProxies)
	}
}

func TestErrorsSayWhatToWrite(t *testing.T) {
	for _, c := range []struct {
		name, file string
		args       []string
		want       string
	}{
		{"unknown key", "flush-intervall = \"1s\"", nil, `passalong.toml: no setting "flush-intervall", did you mean "flush-interval"?`},
		{"unknown flag", "", []string{"--listne", ":1"}, "--listen"},
		{"unknown key of a site", "[[site]]\nid=\"a.example\"\ntimezon=\"UTC\"", nil,
			`passalong.toml: [[site]] "a.example" has no setting "timezon", did you mean "timezone"?`},
		{"a site without id", "[[site]]\nid=\"a\"\n[[site]]\nquotes=true", nil, "passalong.toml: [[site]] number 2 has no id"},
		{"a site's quotes in words", "[[site]]\nid=\"a\"\nquotes=\"yes\"", nil, `passalong.toml: [[site]] "a" has a wrong quotes: it is true or false`},
		{"a site's only domain without a list", "[[site]]\nid=\"a\"\ndomains=\"a\"", nil, `passalong.toml: [[site]] "a" has a wrong domains: it is a list of hosts`},
		{"a site that is a number", "site = 5", nil, "passalong.toml: site: takes a text"},
		{"a site in a list that is a number", "site = [5]", nil, "passalong.toml: site: takes a list of texts"},
		{"a site in a list without name", "site = [\"=a\"]", nil, `passalong.toml: site: "=a" names no site`},
		{"broken file", "privacy = \"full\"\nlisten = \n", nil, "passalong.toml: line 2"},
		{"size in the file", "spool-limit = \"lots\"", nil, `passalong.toml: spool-limit: "lots" is no size; write 10GiB`},
		{"bare duration in the file", "flush-interval = 5", nil, `passalong.toml: flush-interval: "5" is no duration; write 1s`},
		{"bare span in the file", "retention = 25", nil, `passalong.toml: retention: "25" is no span; write 25 months`},
		{"level in the file", "privacy = \"none\"", nil, `passalong.toml: privacy: "none" is none of full, strict, consent`},
		{"half a row in the file", "flush-rows = 1.5", nil, "passalong.toml: flush-rows: "},
		{"two addresses in the file", "listen = [\":1\", \":2\"]", nil, "passalong.toml: listen: takes one value, not a list"},
		{"a switch for an address", "listen = true", nil, "passalong.toml: listen: takes a text or a number"},
		{"a range in the file", "trusted-proxies = [\"10.0.0.0/40\"]", nil, "passalong.toml: trusted-proxies: \"10.0.0.0/40\" is no address range"},
		{"size", "", []string{"--spool-limit", "lots"}, "write 10GiB"},
		{"rate", "", []string{"--rate-limit", "fast"}, "write 50/s burst 200"},
		{"rate of nothing", "", []string{"--rate-limit", "NaN/s"}, "write 50/s burst 200"},
		{"span", "", []string{"--retention", "25"}, "write 25 months"},
		{"range", "", []string{"--trusted-proxies", "10.0.0.0/40"}, "write 10.0.0.0/8"},
		{"level", "", []string{"--privacy", "none"}, "full"},
		{"path", "", []string{"--script-path", "passalong.js"}, "no path like /name"},
		{"too little memory", "", []string{"--embedded-memory", "1MiB"}, "at least 256MiB"},
		{"missing file", "", []string{"--config", "/nonexistent.toml"}, "config: open /nonexistent.toml: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := parse(t, c.file, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			} else if strings.Contains(err.Error(), "interface {}") || strings.Contains(err.Error(), "config.S") {
				t.Errorf("got %v, which speaks of Go", err)
			}
		})
	}
	for name, file := range map[string]string{
		"no such zone":     "[[site]]\nid=\"a\"\ntimezone=\"Mars/Olympus\"",
		"no such currency": "[[site]]\nid=\"a\"\ncurrency=\"EURO\"",
		"no such level":    "[[site]]\nid=\"a\"\nprivacy=\"none\"",
		"twice":            "[[site]]\nid=\"a\"\n[[site]]\nid=\"a\"",
		"no host":          "[[site]]\nid=\"a\"\ndomains=[\"http://a/\"]",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(t, file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Sites(); err == nil || !strings.Contains(err.Error(), "site a") {
				t.Errorf("got %v, want an error that names the site", err)
			}
		})
	}
}

func TestMistypedEnvironmentIsAWarning(t *testing.T) {
	var cli struct{ config.Config }
	k := kong.Must(&cli, kong.DefaultEnvars(config.EnvPrefix))
	got := config.UnknownEnv(k.Model, []string{"PASSALONG_LISTN=:1", "PASSALONG_LISTEN=:1", "PASSALONG_SERVICE_HOST=10.0.0.1", "PATH=/bin"})
	if len(got) != 1 || !strings.Contains(got[0], "PASSALONG_LISTEN") {
		t.Errorf("got %q, want one line that names PASSALONG_LISTEN", got)
	}
}
