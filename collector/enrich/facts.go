package enrich

import (
	"embed"
	"io/fs"
	"strconv"
	"strings"

	"github.com/passalong/passalong/collector/channel"
)

//go:embed facts/*.tsv
var embedded embed.FS

// Builtin is the tables that ship with the collector.
func Builtin() fs.FS {
	sub, err := fs.Sub(embedded, "facts")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}

// facts is all tables, compiled. It is only read after loadFacts.
type facts struct {
	matcher  matcher
	bots     []fact // what a bot looks like
	people   []fact // what looks like a bot and is a person: one token each
	previews []fact // preview fetchers, with channel and side
	apps     []fact // in-app browsers
	browsers []fact
	systems  []fact
	devices  []fact

	packages map[string]*place // Android packages, in lower case
	hosts    hosts
	clickids map[string]click // by parameter, in lower case
}

// A fact is one row about agents.
type fact struct {
	row
	rule
	channel string
	name    string // of an app, browser, system or device
	side    string // of a preview
	rank    int    // the lowest that matches holds
	version int    // the term that the version stands behind
	length  int    // of all tokens that must be there
}

// A place is where a reader can come from: a host or an Android package.
type place struct {
	row
	kind    string
	channel string
}

// A click is a parameter that names a click, and what it is for.
type click struct {
	row
	use string
}

// kinds of a referrer. `internal` is found by rule, never by a row; `referral`
// is what has no row, and rows that take a host out of a wider one.
var kinds = map[string]bool{
	"referral": true,
	"search":   true, "social": true, "messenger": true, "email": true, "ai": true,
	"video": true, "shopping": true, "aggregator": true, "push": true,
}

func loadFacts(fsys fs.FS) (*facts, error) {
	f := &facts{packages: map[string]*place{}, hosts: newHosts(), clickids: map[string]click{}}
	for _, load := range []func(fs.FS) error{
		f.loadBots, f.loadPeople, f.loadPreviews, f.loadApps,
		func(fsys fs.FS) error { return f.loadRanked(fsys, "browsers.tsv", "name", &f.browsers) },
		func(fsys fs.FS) error { return f.loadRanked(fsys, "systems.tsv", "name", &f.systems) },
		func(fsys fs.FS) error { return f.loadRanked(fsys, "devices.tsv", "device", &f.devices) },
		f.loadPackages, f.loadReferrers, f.loadClickIDs,
	} {
		if err := load(fsys); err != nil {
			return nil, err
		}
	}
	f.matcher.build()
	return f, nil
}

// agentFact compiles the first cell of a row about agents.
func (f *facts) agentFact(r row) (fact, error) {
	compiled, err := f.matcher.add(r.cells[0])
	if err != nil {
		return fact{}, r.errorf("%v", err)
	}
	out := fact{row: r, rule: compiled, version: -1}
	for _, t := range compiled.all {
		out.length += len(f.matcher.terms[t].text)
	}
	return out, nil
}

// behind says which token the version of a row stands behind: the first of
// its match, unless the table names another.
func (f *facts) behind(out *fact, token string) error {
	if token == "" {
		out.version = out.all[0]
		return nil
	}
	id, err := f.matcher.term(token)
	if err != nil {
		return out.errorf("version: %v", err)
	}
	out.version = id
	return nil
}

func (f *facts) loadBots(fsys fs.FS) error {
	t, err := readTable(fsys, "bots.tsv", "match", "what")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		out, err := f.agentFact(r)
		if err != nil {
			return err
		}
		f.bots = append(f.bots, out)
	}
	return nil
}

func (f *facts) loadPeople(fsys fs.FS) error {
	t, err := readTable(fsys, "people.tsv", "match", "what")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		out, err := f.agentFact(r)
		if err != nil {
			return err
		}
		if len(out.all) != 1 || len(out.none) != 0 {
			return r.errorf("one token: it takes back what a row of bots.tsv finds inside it")
		}
		f.people = append(f.people, out)
	}
	return nil
}

func (f *facts) loadPreviews(fsys fs.FS) error {
	t, err := readTable(fsys, "previews.tsv", "match", "channel", "side")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		out, err := f.agentFact(r)
		if err != nil {
			return err
		}
		out.channel, out.side = r.cells[1], r.cells[2]
		if !channel.Known(out.channel) {
			return r.errorf("%q is no channel", out.channel)
		}
		if out.side != "sender" && out.side != "server" {
			return r.errorf("side %q is not sender or server", out.side)
		}
		f.previews = append(f.previews, out)
	}
	return nil
}

func (f *facts) loadApps(fsys fs.FS) error {
	t, err := readTable(fsys, "apps.tsv", "match", "channel", "name", "version")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		out, err := f.agentFact(r)
		if err != nil {
			return err
		}
		out.channel, out.name = r.cells[1], r.cells[2]
		if !channel.Known(out.channel) {
			return r.errorf("%q is no channel", out.channel)
		}
		if out.name == "" {
			return r.errorf("name is empty")
		}
		if err := f.behind(&out, r.cells[3]); err != nil {
			return err
		}
		f.apps = append(f.apps, out)
	}
	return nil
}

// loadRanked reads browsers, systems and devices: of the rows that match, the
// lowest rank holds.
func (f *facts) loadRanked(fsys fs.FS, file, what string, into *[]fact) error {
	columns := []string{"match", "rank", what}
	if file == "browsers.tsv" {
		columns = append(columns, "version")
	}
	t, err := readTable(fsys, file, columns...)
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		out, err := f.agentFact(r)
		if err != nil {
			return err
		}
		if out.rank, err = strconv.Atoi(r.cells[1]); err != nil || out.rank < 0 || out.rank > 9 {
			return r.errorf("rank %q is not 0 to 9", r.cells[1])
		}
		if out.name = r.cells[2]; out.name == "" {
			return r.errorf("%s is empty", what)
		}
		if file == "devices.tsv" && out.name != "phone" && out.name != "tablet" && out.name != "desktop" && out.name != "tv" {
			return r.errorf("device %q is not phone, tablet, desktop or tv", out.name)
		}
		if file == "browsers.tsv" {
			if err := f.behind(&out, r.cells[3]); err != nil {
				return err
			}
		}
		*into = append(*into, out)
	}
	return nil
}

// from reads the cells kind and channel that packages and hosts share.
func from(r row) (*place, error) {
	p := &place{row: r, kind: r.cells[1], channel: r.cells[2]}
	switch {
	case !kinds[p.kind]:
		return nil, r.errorf("%q is no kind of referrer", p.kind)
	case p.channel != "" && !channel.Known(p.channel):
		return nil, r.errorf("%q is no channel", p.channel)
	case p.channel == "" && (p.kind == "messenger" || p.kind == "email"):
		return nil, r.errorf("a %s has a channel", p.kind)
	}
	return p, nil
}

func (f *facts) loadPackages(fsys fs.FS) error {
	t, err := readTable(fsys, "packages.tsv", "package", "kind", "channel")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		p, err := from(r)
		if err != nil {
			return err
		}
		if key, ok := packageKey(r.cells[0]); !ok || key != r.cells[0] {
			return r.errorf("%q is not a package in lower case", r.cells[0])
		}
		f.packages[r.cells[0]] = p
	}
	return nil
}

func (f *facts) loadReferrers(fsys fs.FS) error {
	t, err := readTable(fsys, "referrers.tsv", "host", "kind", "channel")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		p, err := from(r)
		if err != nil {
			return err
		}
		if err := f.hosts.add(r.cells[0], p); err != nil {
			return r.errorf("%v", err)
		}
	}
	return nil
}

// What a click id can be for.
var clickUses = map[string]bool{"paid": true, "shared": true, "email": true, "affiliate": true, "tracker": true}

func (f *facts) loadClickIDs(fsys fs.FS) error {
	t, err := readTable(fsys, "clickids.tsv", "parameter", "kind")
	if err != nil {
		return err
	}
	for _, r := range t.rows {
		switch name := r.cells[0]; {
		case !clickUses[r.cells[1]]:
			return r.errorf("kind %q is not paid, shared, email, affiliate or tracker", r.cells[1])
		case name != strings.ToLower(name) || strings.ContainsAny(name, "&=#?%+ "):
			return r.errorf("%q is not a parameter's name in lower case", name)
		case strings.HasPrefix(name, "utm_"):
			return r.errorf("utm_ parameters are campaign fields")
		}
		f.clickids[r.cells[0]] = click{r, r.cells[1]}
	}
	return nil
}
