package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// UnmarshalJSON reads what siteEntries made: kong hands a list on as JSON.
func (s *SiteSpec) UnmarshalJSON(text []byte) error {
	type plain SiteSpec
	return json.Unmarshal(text, (*plain)(s))
}

// siteEntries reads `site` of the file: a text as of a flag, a list of such
// texts, or the `[[site]]` tables.
func siteEntries(value any) (any, error) {
	var sites []any // what kong takes for a list
	switch v := value.(type) {
	case string:
		return v, nil
	case []any:
		for _, entry := range v {
			var s SiteSpec
			var err error
			switch entry := entry.(type) {
			case string:
				err = s.UnmarshalText([]byte(entry))
			case map[string]any:
				err = s.table(entry)
			default:
				err = errors.New("takes a list of texts, or [[site]] tables")
			}
			if err != nil {
				return nil, fmt.Errorf("site: %w", err)
			}
			sites = append(sites, s)
		}
	case []map[string]any:
		for i, table := range v {
			var s SiteSpec
			if err := s.table(table); err != nil {
				if s.ID == "" {
					return nil, fmt.Errorf("[[site]] number %d %w", i+1, err)
				}
				return nil, fmt.Errorf("[[site]] %q %w", s.ID, err)
			}
			sites = append(sites, s)
		}
	default:
		return nil, errors.New("site: takes a text, a list of texts, or [[site]] tables")
	}
	return sites, nil
}

// table reads one `[[site]]`. Its error goes on from the site's name, which is
// set whenever it was written.
func (s *SiteSpec) table(table map[string]any) error {
	s.ID, _ = table["id"].(string)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value := table[key]
		var ok bool
		want := "a text"
		switch key {
		case "id":
			_, ok = value.(string)
		case "domains":
			want = "a list of hosts"
			var list []any
			list, ok = value.([]any)
			for _, one := range list {
				host, text := one.(string)
				ok = ok && text
				s.Domains = append(s.Domains, host)
			}
		case "privacy":
			s.Privacy, ok = value.(string)
		case "quotes":
			want = "true or false"
			s.Quotes, ok = value.(bool)
		case "timezone":
			s.Timezone, ok = value.(string)
		case "currency":
			s.Currency, ok = value.(string)
		case "alert":
			want = "written as [[site.alert]]"
			var alerts []map[string]any
			alerts, ok = value.([]map[string]any)
			for _, alert := range alerts {
				raw, err := json.Marshal(alert)
				if err != nil {
					return fmt.Errorf("has an alert that is no table of plain values: %w", err)
				}
				s.Alert = append(s.Alert, raw)
			}
		default:
			return fmt.Errorf("has no setting %q%s", key, hint(key, []string{"id", "domains", "privacy", "quotes", "timezone", "currency", "alert"}))
		}
		if !ok {
			return fmt.Errorf("has a wrong %s: it is %s", key, want)
		}
	}
	if s.ID == "" {
		return errors.New("has no id")
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
