package loader

import (
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/shopspring/decimal"

	"github.com/passalong/passalong/collector/event"
)

// A field is one column of `events` and how it is filled from a part. Whole
// columns are appended at once: by rows, every value would be boxed, and
// encoding is the larger half of what an insert costs.
type field struct {
	name string
	fill func(c column.Interface, to driver.BatchColumn, p *part, s *scratch) error
}

// scratch is reused from column to column.
type scratch struct {
	strings  []string
	times    []time.Time
	bytes    []uint8
	words    []uint32
	longs    []uint64
	pointers []*uint32
}

func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	return (*s)[:n]
}

func text(name string, of func(*event.Event) string) field {
	return field{name, func(c column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		if _, low := c.(*column.LowCardinality); low {
			return lowCardinality(to, p, of)
		}
		values := grow(&s.strings, len(p.events))
		for i, e := range p.events {
			values[i] = of(e)
		}
		return to.Append(values)
	}}
}

// lowCardinality appends row by row, as clickhouse-go does too, but boxes a
// string only when it differs from the one before.
func lowCardinality(to driver.BatchColumn, p *part, of func(*event.Event) string) error {
	var last string
	var boxed any = ""
	for _, e := range p.events {
		if v := of(e); v != last {
			last, boxed = v, v
		}
		if err := to.AppendRow(boxed); err != nil {
			return err
		}
	}
	return nil
}

func moment(name string, of func(*event.Event) int64) field {
	return field{name, func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.times, len(p.events))
		for i, e := range p.events {
			values[i] = time.UnixMilli(of(e)).UTC()
		}
		return to.Append(values)
	}}
}

func flag(name string, of func(*event.Event) bool) field {
	return small(name, func(e *event.Event) uint8 {
		if of(e) {
			return 1
		}
		return 0
	})
}

func small(name string, of func(*event.Event) uint8) field {
	return field{name, func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.bytes, len(p.events))
		for i, e := range p.events {
			values[i] = of(e)
		}
		return to.Append(values)
	}}
}

func word(name string, of func(*event.Event) uint32) field {
	return field{name, func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.words, len(p.events))
		for i, e := range p.events {
			values[i] = of(e)
		}
		return to.Append(values)
	}}
}

func long(name string, of func(*event.Event) uint64) field {
	return field{name, func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.longs, len(p.events))
		for i, e := range p.events {
			values[i] = of(e)
		}
		return to.Append(values)
	}}
}

// fields are the columns of `events`, by name: the table's order is its own.
var fields = []field{
	text("site", func(e *event.Event) string { return e.Site }),
	{"day", func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.times, len(p.events))
		for i, e := range p.events {
			values[i] = dayTime(e.Day)
		}
		return to.Append(values)
	}},
	moment("time", func(e *event.Event) int64 { return e.Time }),
	moment("received", func(e *event.Event) int64 { return e.Received }),
	{"row", func(_ column.Interface, to driver.BatchColumn, p *part, _ *scratch) error { return to.Append(p.rows) }},
	{"seq", func(_ column.Interface, to driver.BatchColumn, p *part, s *scratch) error {
		values := grow(&s.pointers, len(p.events))
		for i, e := range p.events {
			values[i] = e.Seq
		}
		return to.Append(values)
	}},
	small("item", func(e *event.Event) uint8 { return uint8(e.Item) }),
	text("type", func(e *event.Event) string { return e.Type }),
	text("privacy", func(e *event.Event) string { return e.Privacy }),
	small("generation", func(e *event.Event) uint8 { return uint8(e.Generation) }),
	text("view", func(e *event.Event) string { return e.View }),
	text("via", func(e *event.Event) string { return e.Via }),
	flag("return", func(e *event.Event) bool { return e.Returned }),
	text("visitor", func(e *event.Event) string { return e.Visitor }),
	flag("consented", func(e *event.Event) bool { return e.Consented }),
	long("network", func(e *event.Event) uint64 { return e.Network }),
	flag("bot", func(e *event.Event) bool { return e.Bot }),
	text("page", func(e *event.Event) string { return e.Page }),
	text("title", func(e *event.Event) string { return e.Title }),
	text("canonical", func(e *event.Event) string { return e.Canonical }),
	text("author", func(e *event.Event) string { return e.Author }),
	text("section", func(e *event.Event) string { return e.Section }),
	{"published", func(_ column.Interface, to driver.BatchColumn, p *part, _ *scratch) error {
		values := make([]*time.Time, len(p.events))
		for i, e := range p.events {
			if e.Published != 0 {
				at := time.UnixMilli(e.Published).UTC()
				values[i] = &at
			}
		}
		return to.Append(values)
	}},
	text("language", func(e *event.Event) string { return e.Language }),
	text("zone", func(e *event.Event) string { return e.Zone }),
	word("width", func(e *event.Event) uint32 { return e.Width }),
	text("hash", func(e *event.Event) string { return e.Hash }),
	text("referrer", func(e *event.Event) string { return e.Referrer }),
	text("referrer_kind", func(e *event.Event) string { return e.ReferrerKind }),
	text("referrer_channel", func(e *event.Event) string { return e.ReferrerChannel }),
	text("app", func(e *event.Event) string { return e.App }),
	text("package_channel", func(e *event.Event) string { return e.PackageChannel }),
	text("country", func(e *event.Event) string { return e.Country }),
	text("region", func(e *event.Event) string { return e.Region }),
	text("device", func(e *event.Event) string { return e.Device }),
	text("os", func(e *event.Event) string { return e.Os }),
	text("browser", func(e *event.Event) string { return e.Browser }),
	word("browser_major", func(e *event.Event) uint32 { return e.BrowserMajor }),
	text("utm_source", func(e *event.Event) string { return e.UtmSource }),
	text("utm_medium", func(e *event.Event) string { return e.UtmMedium }),
	text("utm_campaign", func(e *event.Event) string { return e.UtmCampaign }),
	text("utm_term", func(e *event.Event) string { return e.UtmTerm }),
	text("utm_content", func(e *event.Event) string { return e.UtmContent }),
	text("clickid", func(e *event.Event) string { return e.Clickid }),
	text("what", func(e *event.Event) string { return e.What }),
	word("chars", func(e *event.Event) uint32 { return e.Chars }),
	word("words", func(e *event.Event) uint32 { return e.Words }),
	text("token", func(e *event.Event) string { return e.Token }),
	text("channel", func(e *event.Event) string { return e.Channel }),
	text("outcome", func(e *event.Event) string { return e.Outcome }),
	long("visible", func(e *event.Event) uint64 { return e.Visible }),
	small("scroll", func(e *event.Event) uint8 { return uint8(e.Scroll) }),
	text("name", func(e *event.Event) string { return e.Name }),
	{"value", func(_ column.Interface, to driver.BatchColumn, p *part, _ *scratch) error {
		for _, e := range p.events {
			value := zero
			if e.Value != 0 {
				value = decimal.New(e.Value, -4)
			}
			if err := to.AppendRow(value); err != nil {
				return err
			}
		}
		return nil
	}},
	text("currency", func(e *event.Event) string { return e.Currency }),
	text("order", func(e *event.Event) string { return e.Order }),
	text("answer", func(e *event.Event) string { return e.Answer }),
	{"mood", func(_ column.Interface, to driver.BatchColumn, p *part, _ *scratch) error {
		values := make([]int8, len(p.events))
		for i, e := range p.events {
			values[i] = int8(e.Mood)
		}
		return to.Append(values)
	}},
	text("campaign", func(e *event.Event) string { return e.Campaign }),
	text("label", func(e *event.Event) string { return e.Label }),
	text("kind", func(e *event.Event) string { return e.Kind }),
	text("side", func(e *event.Event) string { return e.Side }),
	{"batch", func(_ column.Interface, to driver.BatchColumn, p *part, _ *scratch) error {
		var label any = p.label
		for range p.events {
			if err := to.AppendRow(label); err != nil {
				return err
			}
		}
		return nil
	}},
}

var zero any = decimal.Decimal{}

// eventsInsert names the columns: a column that a newer schema adds keeps its
// default, one that this schema lacks is an error before anything is sent.
var eventsInsert = func() string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = "`" + f.name + "`"
	}
	return "INSERT INTO passalong.events (" + strings.Join(names, ", ") + ")"
}()

func dayTime(day int32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }
