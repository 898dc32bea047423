package enrich

import (
	"errors"

	"github.com/passalong/passalong/collector/site"
)

// check tries every example against all tables: each must be claimed by its own
// row. A row whose example goes to another one is shadowed, or wrong.
func (f *facts) check() error {
	var wrong []error
	for i := range f.bots {
		if r := &f.bots[i]; !f.onAgent(r, func(s *scan) bool { return s.match(r.rule) && f.bot(s, best(s, f.apps) != nil) }) {
			wrong = append(wrong, r.errorf("its example is no bot by it: %s", r.example()))
		}
	}
	for i := range f.people {
		r := &f.people[i]
		if !f.onAgent(r, func(s *scan) bool { return s.match(r.rule) }) {
			wrong = append(wrong, r.errorf("its example does not have it: %s", r.example()))
		} else if f.judge(r.example()).Bot {
			wrong = append(wrong, r.errorf("its example is still a bot: %s", r.example()))
		}
	}
	for i := range f.previews {
		if r := &f.previews[i]; !f.onAgent(r, func(s *scan) bool { return f.preview(s) == r }) {
			wrong = append(wrong, r.errorf("another row claims its example: %s", r.example()))
		}
	}
	for i := range f.apps {
		r := &f.apps[i]
		if !f.onAgent(r, func(s *scan) bool { return best(s, f.apps) == r }) {
			wrong = append(wrong, r.errorf("another row claims its example: %s", r.example()))
		} else if f.judge(r.example()).Bot {
			wrong = append(wrong, r.errorf("its example is a bot: %s", r.example()))
		}
	}
	// Here several rows may say the same of one agent (iPhone, Mobile/15E148).
	for _, rows := range [][]fact{f.browsers, f.systems, f.devices} {
		for i := range rows {
			r := &rows[i]
			if !f.onAgent(r, func(s *scan) bool {
				won := ranked(s, rows)
				return s.match(r.rule) && won.name == r.name && won.rank == r.rank
			}) {
				wrong = append(wrong, r.errorf("another row claims its example: %s", r.example()))
			}
		}
	}
	nowhere := &site.Site{}
	for key, p := range f.packages {
		if k, ok := packageKey(p.example()); !ok || k != key {
			wrong = append(wrong, p.errorf("its example is another package: %s", p.example()))
		}
	}
	f.hosts.each(func(p *place) {
		a, ok := splitAddress(p.example())
		if !ok || f.hosts.find(a.host) != p {
			wrong = append(wrong, p.errorf("another row claims its example: %s", p.example()))
		} else if got := f.referrer(p.example(), nowhere); got.kind != p.kind || got.channel != p.channel {
			wrong = append(wrong, p.errorf("its example is %s %s: %s", got.kind, got.channel, p.example()))
		}
	})
	for name, row := range f.clickids {
		if _, c, _ := f.page(row.example()); c.clickid != name {
			wrong = append(wrong, row.errorf("its example has another click id: %s", row.example()))
		}
	}
	return errors.Join(wrong...)
}

// onAgent tries a row on its example.
func (f *facts) onAgent(r *fact, try func(*scan) bool) bool {
	agent := r.example()
	if len(agent) > maxAgent {
		return false
	}
	s := f.matcher.scan(lowerASCII(agent))
	defer f.matcher.done(s)
	return try(s)
}
