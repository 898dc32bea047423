package loader

import (
	"encoding/binary"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/passalong/passalong/collector/event"
)

// eventFields are the columns of `events`, by name: the table's order is its own.
var eventFields = []field[event.Event]{
	text("site", func(e *event.Event) string { return e.Site }),
	date("day", func(e *event.Event) int32 { return e.Day }),
	moment("time", func(e *event.Event) int64 { return e.Time }),
	moment("received", func(e *event.Event) int64 { return e.Received }),
	{"row", func(to column.Interface, k *chunk[event.Event]) error {
		k.native = k.native[:0]
		for _, row := range k.rows {
			k.native = binary.LittleEndian.AppendUint64(k.native, row)
		}
		return k.take(to, "UInt64")
	}},
	optional("seq", "UInt32", func(e *event.Event) bool { return e.Seq == nil }, func(to []byte, e *event.Event) []byte {
		return binary.LittleEndian.AppendUint32(to, e.GetSeq())
	}),
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
	optional("published", moments, func(e *event.Event) bool { return e.Published == 0 }, func(to []byte, e *event.Event) []byte {
		return binary.LittleEndian.AppendUint64(to, uint64(e.Published))
	}),
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
	fixed("value", "Decimal(18, 4)", func(to []byte, e *event.Event) []byte {
		return binary.LittleEndian.AppendUint64(to, uint64(e.Value)) // in ten thousandths, as a Decimal is
	}),
	text("currency", func(e *event.Event) string { return e.Currency }),
	text("order", func(e *event.Event) string { return e.Order }),
	text("answer", func(e *event.Event) string { return e.Answer }),
	signed("mood", func(e *event.Event) int8 { return int8(e.Mood) }),
	text("campaign", func(e *event.Event) string { return e.Campaign }),
	text("label", func(e *event.Event) string { return e.Label }),
	text("kind", func(e *event.Event) string { return e.Kind }),
	text("side", func(e *event.Event) string { return e.Side }),
	{"batch", func(to column.Interface, k *chunk[event.Event]) error {
		k.dictionary(func(*event.Event) string { return k.label })
		return k.take(to, lowCardinality)
	}},
}

var eventsInsert = insertInto("passalong.events", eventFields)

func dayTime(day int32) time.Time { return time.Unix(int64(day)*86400, 0).UTC() }
