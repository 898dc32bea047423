// Package config holds the settings of Passalong: one struct, one name in
// three spellings (flag, environment, TOML).
//
// A caller gets values that are already parsed and checked: sizes in bytes,
// durations, address ranges, sites. What a flag says beats the environment,
// which beats the file, which beats the default. A list that is given in one
// place replaces the list of a weaker place; lists are not merged.
//
// The package opens nothing but the file named by --config, and it knows
// neither what a setting is used for nor the commands. The one choice that
// surprises: an unknown key in the file is an error with the nearest name, an
// unknown PASSALONG_* variable only a warning, because orchestrators inject
// variables that begin with the name of a service.
package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Config is every setting, in the order of the reference. The tags are the
// help text; docs/reference/settings.md is made from them.
type Config struct {
	Listen         string   `default:":8080" placeholder:"ADDR" help:"Address of the collector." group:"Collector"`
	DataDir        string   `default:"./data" type:"path" placeholder:"DIR" help:"Spool, embedded ClickHouse, secrets." group:"Collector"`
	Site           Sites    `placeholder:"ID[=DOMAIN,…]" sep:";" help:"A site whose hits are taken; repeatable. id, or id=domain,*.domain. Hits for other sites are refused. In the environment separated by ';'." group:"Collector"`
	Privacy        string   `default:"full" enum:"full,strict,consent" help:"Level of sites that name none: full, strict (cohort tokens that name nobody) or consent (nothing before consent)." group:"Collector"`
	AdminToken     string   `placeholder:"TOKEN" help:"Opens the dashboard, /api and, from elsewhere, /metrics. Made at first start and kept in the data directory." group:"Collector"`
	Geoip          string   `type:"path" placeholder:"FILE" help:"A MaxMind GeoIP2 or GeoLite2 .mmdb; without it the bundled country database." group:"Collector"`
	TrustedProxies Prefixes `default:"127.0.0.0/8,::1/128" placeholder:"CIDR,…" help:"Proxies whose X-Forwarded-For is believed." group:"Collector"`
	ScriptPath     string   `default:"/passalong.js" placeholder:"PATH" help:"Where the snippet is served; blockers list fixed paths." group:"Collector"`
	EndpointPath   string   `default:"/e" placeholder:"PATH" help:"Where beacons are taken." group:"Collector"`
	RateLimit      Rate     `default:"50/s burst 200" help:"Per address (IPv6: per /64); beyond it 429." group:"Collector"`
	Pages          string   `type:"path" placeholder:"DIR" help:"A folder of static pages served under /pages/, to try Passalong without a site of your own." group:"Collector"`

	FlushInterval time.Duration `default:"1s" help:"A batch is loaded after this time or at flush-rows, whichever comes first." group:"Store"`
	FlushRows     int           `default:"50000" help:"Rows at which a batch is loaded." group:"Store"`
	SpoolLimit    Bytes         `default:"10GiB" help:"Beyond it beacons get 503 and nothing accepted is lost." group:"Store"`
	Retention     Span          `default:"25 months" help:"What is older is dropped, and refused by import." group:"Store"`

	Clickhouse     string `placeholder:"DSN" help:"A ClickHouse server, clickhouse://user:password@host:9000/passalong; empty: the embedded one." group:"ClickHouse"`
	Cluster        string `placeholder:"NAME" help:"A ClickHouse cluster: the schema is applied in its replicated, distributed form." group:"ClickHouse"`
	Engine         string `type:"path" placeholder:"FILE" help:"Path of libchdb.so; otherwise looked for beside the binary, in ../lib/passalong and /usr/lib/passalong." group:"ClickHouse"`
	EmbeddedTCP    string `name:"embedded-tcp" default:"127.0.0.1:0" placeholder:"ADDR" help:"Native protocol of the embedded engine; port 0 is any free one." group:"ClickHouse"`
	EmbeddedHTTP   string `name:"embedded-http" placeholder:"ADDR" help:"HTTP of the embedded engine; off by default." group:"ClickHouse"`
	EmbeddedMemory Bytes  `default:"1GiB" help:"The embedded engine's ceiling." group:"ClickHouse"`

	LogLevel string `default:"info" enum:"debug,info,warn,error" help:"What is logged: debug, info, warn or error." group:"Logs"`
}

// Validate checks what no single value shows.
func (c *Config) Validate() error {
	for name, path := range map[string]string{"script-path": c.ScriptPath, "endpoint-path": c.EndpointPath} {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "*:?# ") || path == "/" {
			return fmt.Errorf("%s: %q is no path like /name", name, path)
		}
	}
	if c.ScriptPath == c.EndpointPath {
		return fmt.Errorf("endpoint-path: the same as script-path")
	}
	if c.FlushInterval < 10*time.Millisecond || c.FlushInterval > time.Minute {
		return fmt.Errorf("flush-interval: %s is not between 10ms and 1m", c.FlushInterval)
	}
	if c.FlushRows < 1 || c.FlushRows > 1_000_000 {
		return fmt.Errorf("flush-rows: %d is not between 1 and 1000000", c.FlushRows)
	}
	if c.EmbeddedMemory < 256<<20 {
		return fmt.Errorf("embedded-memory: the engine needs at least 256MiB")
	}
	if c.SpoolLimit < 64<<20 {
		return fmt.Errorf("spool-limit: at least 64MiB")
	}
	return nil
}

// Bytes is a size; it is written 10GiB, 500MB or as a bare number.
type Bytes int64

func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is no size; write 10GiB, 500MB or a number of bytes", text)
	}
	*b = Bytes(n)
	return nil
}

func (b *Bytes) UnmarshalJSON(text []byte) error { return b.UnmarshalText(unquote(text)) }
func (b Bytes) String() string                   { return strings.ReplaceAll(humanize.IBytes(uint64(b)), " ", "") }

// Rate is how much one address may send: PerSecond on average, Burst at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r *Rate) UnmarshalText(text []byte) error {
	fail := fmt.Errorf("%q is no rate; write 50/s burst 200 or 600/m", text)
	fields := strings.Fields(string(text))
	if len(fields) != 1 && (len(fields) != 3 || fields[1] != "burst") {
		return fail
	}
	count, unit, ok := strings.Cut(fields[0], "/")
	n, err := strconv.ParseFloat(count, 64)
	seconds := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !ok || err != nil || seconds == 0 || !(n > 0 && n < 1e9) {
		return fail
	}
	r.PerSecond = n / seconds
	r.Burst = max(1, int(4*r.PerSecond)) // as the default: a burst of four seconds
	if len(fields) == 3 {
		if r.Burst, err = strconv.Atoi(fields[2]); err != nil || r.Burst < 1 {
			return fail
		}
	}
	return nil
}

func (r *Rate) UnmarshalJSON(text []byte) error { return r.UnmarshalText(unquote(text)) }

// Span is a stretch of the calendar, such as 25 months or 90 days.
type Span struct{ Months, Days int }

func (s *Span) UnmarshalText(text []byte) error {
	fail := fmt.Errorf("%q is no span; write 25 months, 2 years or 90 days", text)
	count, unit, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 || n > 10000 {
		return fail
	}
	switch strings.TrimSuffix(strings.TrimSpace(unit), "s") {
	case "year":
		*s = Span{Months: 12 * n}
	case "month":
		*s = Span{Months: n}
	case "week":
		*s = Span{Days: 7 * n}
	case "day":
		*s = Span{Days: n}
	default:
		return fail
	}
	return nil
}

func (s *Span) UnmarshalJSON(text []byte) error { return s.UnmarshalText(unquote(text)) }

// Before is the moment a span ago.
func (s Span) Before(now time.Time) time.Time { return now.AddDate(0, -s.Months, -s.Days) }

// Prefixes is a list of address ranges.
type Prefixes []netip.Prefix

func (p *Prefixes) UnmarshalText(text []byte) error {
	*p = nil
	for _, one := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == ' ' }) {
		prefix, err := netip.ParsePrefix(one)
		if addr, e := netip.ParseAddr(one); e == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("%q is no address range; write 10.0.0.0/8", one)
		}
		*p = append(*p, prefix.Masked())
	}
	return nil
}

// unquote takes the quotes off a JSON string; other JSON stays as it is.
func unquote(text []byte) []byte {
	if s, err := strconv.Unquote(string(text)); err == nil {
		return []byte(s)
	}
	return text
}
