package enrich

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"github.com/mssola/useragent"
)

// A Verdict is everything that an agent says.
type Verdict struct {
	Bot     bool
	Preview string // channel whose preview fetcher this is; only of bots
	Side    string // of a preview: sender or server
	App     string // channel of the in-app browser; never of bots
	Device  string // phone tablet desktop tv bot, or empty
	OS      string
	Browser string // the app's name in an in-app browser
	Major   uint32 // of the browser's version; 0 when it says none
}

const (
	// maxAgent is how much of an agent is looked at. The longest agent of a
	// person in public test data has 700 bytes; what is longer is made up.
	maxAgent = 1 << 10

	// cacheBytes bounds the cache of verdicts: some 30,000 agents of usual length.
	cacheBytes = 8 << 20

	// entryBytes is a guess of what an entry costs beside its key.
	entryBytes = 160
)

// agents gives verdicts, from a bounded cache where it can. The cache keeps
// those seen most often, so that a flood of made-up agents pushes out no real
// ones; asking it is booked, which costs more than to find. Before it stands a
// front of those seen last, where nothing is booked.
type agents struct {
	facts *facts
	cache *otter.Cache[string, *known]
	seed  maphash.Seed
	front [fronts]atomic.Pointer[known]
}

// fronts is enough for the agents that a site sees in a minute, and bounds the
// front to 1 MB.
const fronts = 1 << 10

// known is an agent that was judged.
type known struct {
	agent   string
	verdict Verdict
}

func newAgents(f *facts) (*agents, error) {
	cache, err := otter.New(&otter.Options[string, *known]{
		MaximumWeight: cacheBytes,
		Weigher:       func(key string, _ *known) uint32 { return uint32(len(key)) + entryBytes },
	})
	if err != nil {
		return nil, err
	}
	return &agents{facts: f, cache: cache, seed: maphash.MakeSeed()}, nil
}

// verdict keeps nothing of agent, which may lie in a buffer that is used again.
func (a *agents) verdict(agent string) Verdict {
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	place := &a.front[maphash.String(a.seed, agent)%fronts]
	if k := place.Load(); k != nil && k.agent == agent {
		return k.verdict
	}
	k, ok := a.cache.GetIfPresent(agent)
	if !ok {
		k = &known{agent: strings.Clone(agent)}
		k.verdict = a.facts.judge(k.agent) // pieces of it may be in the verdict
		a.cache.Set(k.agent, k)
	}
	place.Store(k)
	return k.verdict
}

// judge looks at an agent of at most maxAgent bytes.
func (f *facts) judge(agent string) Verdict {
	lower := lowerASCII(agent)
	s := f.matcher.scan(lower)
	defer f.matcher.done(s)

	var v Verdict
	if p := f.preview(s); p != nil {
		v.Bot, v.Preview, v.Side = true, p.channel, p.side
	}
	app := best(s, f.apps)
	v.Bot = v.Bot || f.bot(s, app != nil)
	if v.Bot {
		v.Device = "bot"
		return v
	}

	base := parse(agent)
	v.OS = commonName(base.OSInfo().Name)
	name, version := base.Browser()
	v.Browser, v.Major = commonName(name), leading(version)
	if row := ranked(s, f.systems); row != nil {
		v.OS = row.name
	}
	if v.Browser == "" {
		v.Major = 0
	}
	if row := ranked(s, f.browsers); row != nil {
		v.Browser, v.Major = row.name, s.number(row.version)
	}
	if row := ranked(s, f.devices); row != nil {
		v.Device = row.name
	} else if base.Mobile() {
		v.Device = "phone"
	}
	if app != nil {
		v.App = app.channel
		v.Browser, v.Major = app.name, s.number(app.version)
	}
	return v
}

// parse is mssola/useragent, which is unmaintained: should it stumble over an
// agent, it knows nothing of it.
func parse(agent string) (ua *useragent.UserAgent) {
	ua = useragent.New("")
	defer func() { _ = recover() }()
	parsed := useragent.New(agent)
	parsed.OSInfo() // does its own parsing
	return parsed
}

// commonName turns names that mssola takes over from the agent into those that
// people know. What it merely guessed from a broken agent is not kept: a name
// has few and plain characters.
func commonName(name string) string {
	if len(name) < 2 || len(name) > 24 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .-+!") != "" {
		return ""
	}
	switch {
	case name == "Mac OS X" || name == "Mac OS":
		return "macOS"
	case strings.HasPrefix(name, "Windows"):
		return "Windows"
	case name == "iPhone OS" || name == "OS":
		return "iOS"
	case name == "Mobile App":
		return ""
	}
	return name
}

// leading is the number that a version begins with.
func leading(version string) uint32 {
	n := uint32(0)
	for i := 0; i < len(version) && i < 6 && digit(version[i]); i++ {
		n = n*10 + uint32(version[i]-'0')
	}
	return n
}

// ranked is the row of the lowest rank that matches; of equal ones the one that
// asks for more tokens, and then the one whose first token stands last: brands
// are put behind the browser that they are built on.
func ranked(s *scan, rows []fact) *fact {
	var won *fact
	for i := range rows {
		row := &rows[i]
		if won != nil && row.rank > won.rank || !s.match(row.rule) {
			continue
		}
		if won == nil || row.rank < won.rank || len(row.all) > len(won.all) ||
			len(row.all) == len(won.all) && s.at(row.all[0]) > s.at(won.all[0]) {
			won = row
		}
	}
	return won
}

// best is the row about apps that holds. More tokens win; then what says more
// than `meta`; then a token that contains the other's. Two rows that are left
// with different channels are an agent that claims to be two apps: neither is
// believed.
func best(s *scan, rows []fact) *fact {
	var won *fact
	torn := false
	for i := range rows {
		row := &rows[i]
		if !s.match(row.rule) {
			continue
		}
		switch {
		case won == nil || stronger(row, won):
			won, torn = row, false
		case stronger(won, row):
		case row.channel != won.channel:
			torn = true
		case row.length > won.length:
			won = row
		}
	}
	if torn {
		return nil
	}
	return won
}

func stronger(a, b *fact) bool {
	if len(a.all) != len(b.all) {
		return len(a.all) > len(b.all)
	}
	if a.channel != b.channel && (a.channel == "meta" || b.channel == "meta") {
		return b.channel == "meta"
	}
	return len(a.all) == 1 && a.cells[0] != b.cells[0] && strings.Contains(a.cells[0], b.cells[0])
}

// at is where a term stands first.
func (s *scan) at(t int) int { return s.spans[s.first[t]].from }

// lowerASCII lower-cases letters of ASCII and leaves the length as it is, so
// that places in the result are places in the agent.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
