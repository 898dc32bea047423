package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"golang.org/x/text/currency"

	"github.com/passalong/passalong/collector/site"
)

// A SiteSpec is one `site`: from a flag `id` or `id=domain,domain`, or a
// `[[site]]` table of the file.
type SiteSpec struct {
	ID       string            `json:"id"`
	Domains  []string          `json:"domains"`
	Privacy  string            `json:"privacy"`
	Quotes   bool              `json:"quotes"`
	Timezone string            `json:"timezone"`
	Currency string            `json:"currency"`
	Alert    []json.RawMessage `json:"alert"` // read by the alerts, which come with their own release
}

// Sites is the setting `site`.
type Sites []SiteSpec

// UnmarshalText reads one site of a flag or of the environment.
func (s *SiteSpec) UnmarshalText(text []byte) error {
	id, domains, ok := strings.Cut(strings.TrimSpace(string(text)), "=")
	*s = SiteSpec{ID: strings.TrimSpace(id)}
	if ok {
		for _, d := range strings.Split(domains, ",") {
			s.Domains = append(s.Domains, strings.TrimSpace(d))
		}
	}
	if s.ID == "" {
		return fmt.Errorf("%q names no site; write news.example or shop.example=shop.example,*.shop.example", text)
	}
	return nil
}

// UnmarshalJSON reads an entry of the file: a string as above, or a table.
func (s *SiteSpec) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		var one string
		if err := json.Unmarshal(text, &one); err != nil {
			return err
		}
		return s.UnmarshalText([]byte(one))
	}
	type plain SiteSpec
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode((*plain)(s)); err != nil {
		if _, key, ok := strings.Cut(err.Error(), `unknown field "`); ok {
			key = strings.TrimSuffix(key, `"`)
			return fmt.Errorf("[[site]] has no setting %q%s", key, hint(key, []string{"id", "domains", "privacy", "quotes", "timezone", "currency", "alert"}))
		}
		return fmt.Errorf("[[site]]: %w", err)
	}
	if s.ID == "" {
		return fmt.Errorf("[[site]] without id")
	}
	return nil
}

// Sites makes the configured sites. level is that of sites that name none.
func (c *Config) Sites() (site.Set, error) {
	var all []*site.Site
	for _, spec := range c.Site {
		s, err := site.New(spec.ID, spec.Domains...)
		if err != nil {
			return nil, err
		}
		level := spec.Privacy
		if level == "" {
			level = c.Privacy
		}
		switch site.Level(level) {
		case site.Full, site.Strict, site.Consent:
			s.Privacy = site.Level(level)
		default:
			return nil, fmt.Errorf("site %s: privacy %q is none of full, strict, consent", s.ID, level)
		}
		if spec.Timezone != "" {
			if s.Location, err = time.LoadLocation(spec.Timezone); err != nil {
				return nil, fmt.Errorf("site %s: timezone %q is not known; write one like Europe/Paris", s.ID, spec.Timezone)
			}
		}
		if spec.Currency != "" {
			unit, err := currency.ParseISO(spec.Currency)
			if err != nil {
				return nil, fmt.Errorf("site %s: currency %q is no ISO 4217 code like EUR", s.ID, spec.Currency)
			}
			s.Currency = unit.String()
		}
		s.Quotes = spec.Quotes && s.Privacy != site.Strict
		all = append(all, s)
	}
	return site.NewSet(all...)
}

// hint is ", did you mean NAME?" with the nearest of names, or nothing.
func hint(name string, names []string) string {
	best, distance := "", min(3, 1+len(name)/4)
	for _, n := range names {
		if d := levenshtein.ComputeDistance(name, n); d <= distance {
			best, distance = n, d-1
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}
