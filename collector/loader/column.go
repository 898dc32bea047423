package loader

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"

	"github.com/passalong/passalong/collector/event"
)

// A field is one column of `events` and how it is filled from a chunk.
type field struct {
	name string
	fill func(to column.Interface, k *chunk) error
}

// chunkRows is how many rows are encoded and sent at a time. ClickHouse unpacks
// one chunk while the next is encoded, and the columns' memory is used again.
// Measured from 2,000 to 50,000: 8,000 is as fast as any and needs 5 MB.
const chunkRows = 8192

// A chunk is some rows of a part, and memory that is used again from column to
// column and from chunk to chunk.
type chunk struct {
	label  string
	rows   []uint64
	events []*event.Event

	strings []string
	native  []byte
	keys    []uint16
	known   map[string]uint16
	wire    wire
}

func newChunk(label string) *chunk {
	k := &chunk{label: label, known: map[string]uint16{}}
	k.wire.reader = chproto.NewReader(&k.wire)
	return k
}

// A wire hands a column its values in the form they have on the way to the
// server. clickhouse-go appends values of most types one by one, each boxed
// and looked up in a map or converted by way of its text: measured, two thirds
// of what an insert cost. Decoding them is public, and a copy.
type wire struct {
	rest   []byte
	reader *chproto.Reader
}

func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// take fills a column of exactly this type from k.native.
func (k *chunk) take(to column.Interface, kind column.Type) error {
	if to.Type() != kind {
		return fmt.Errorf("is %s, want %s", to.Type(), kind)
	}
	k.wire.rest = k.native
	return to.Decode(k.wire.reader, len(k.events))
}

// fixed is a column of values of one width.
func fixed(name string, kind column.Type, put func(to []byte, e *event.Event) []byte) field {
	return field{name, func(to column.Interface, k *chunk) error {
		k.native = k.native[:0]
		for _, e := range k.events {
			k.native = put(k.native, e)
		}
		return k.take(to, kind)
	}}
}

// optional is the same where a value may be missing: which are comes first.
func optional(name string, kind column.Type, missing func(*event.Event) bool, put func(to []byte, e *event.Event) []byte) field {
	return field{name, func(to column.Interface, k *chunk) error {
		k.native = k.native[:0]
		for _, e := range k.events {
			k.native = append(k.native, asByte(missing(e)))
		}
		for _, e := range k.events {
			k.native = put(k.native, e)
		}
		return k.take(to, "Nullable("+kind+")")
	}}
}

func text(name string, of func(*event.Event) string) field {
	return field{name, func(to column.Interface, k *chunk) error {
		if to.Type() == "LowCardinality(String)" {
			k.lowCardinality(of)
			return k.take(to, to.Type())
		}
		if to.Type() != "String" {
			return fmt.Errorf("is %s, want String", to.Type())
		}
		k.strings = k.strings[:0]
		for _, e := range k.events {
			k.strings = append(k.strings, of(e))
		}
		_, err := to.Append(k.strings)
		return err
	}}
}

// How a block of a LowCardinality column begins: the width of its keys, and
// that its dictionary is in it and stands for this block alone (ClickHouse,
// src/DataTypes/Serializations/SerializationLowCardinality.cpp).
const (
	keysOfOneByte  = 0
	keysOfTwoBytes = 1
	hasDictionary  = 1<<9 | 1<<10
)

// lowCardinality writes a dictionary, of which the first entry is the empty
// string, and one key a row.
func (k *chunk) lowCardinality(of func(*event.Event) string) {
	clear(k.known)
	k.known[""] = 0
	k.keys = k.keys[:0]
	const head = 2 * 8
	k.native = append(k.native[:0], make([]byte, head)...)
	k.native = append(k.native, 0) // the length of ""
	var last string
	var key uint16
	for _, e := range k.events {
		if v := of(e); v != last {
			last = v
			found, known := k.known[v]
			if !known {
				found = uint16(len(k.known)) // chunkRows is far below what it holds
				k.known[v] = found
				k.native = append(binary.AppendUvarint(k.native, uint64(len(v))), v...)
			}
			key = found
		}
		k.keys = append(k.keys, key)
	}
	width := uint64(keysOfOneByte)
	if len(k.known) > 1<<8 {
		width = keysOfTwoBytes
	}
	binary.LittleEndian.PutUint64(k.native, hasDictionary|width)
	binary.LittleEndian.PutUint64(k.native[8:], uint64(len(k.known)))
	k.native = binary.LittleEndian.AppendUint64(k.native, uint64(len(k.keys)))
	for _, key := range k.keys {
		if width == keysOfOneByte {
			k.native = append(k.native, byte(key))
		} else {
			k.native = binary.LittleEndian.AppendUint16(k.native, key)
		}
	}
}

const timeKind = "DateTime64(3, 'UTC')"

func moment(name string, of func(*event.Event) int64) field {
	return fixed(name, timeKind, func(to []byte, e *event.Event) []byte {
		return binary.LittleEndian.AppendUint64(to, uint64(of(e)))
	})
}

func flag(name string, of func(*event.Event) bool) field {
	return small(name, func(e *event.Event) uint8 { return asByte(of(e)) })
}

func small(name string, of func(*event.Event) uint8) field {
	return fixed(name, "UInt8", func(to []byte, e *event.Event) []byte { return append(to, of(e)) })
}

func word(name string, of func(*event.Event) uint32) field {
	return fixed(name, "UInt32", func(to []byte, e *event.Event) []byte { return binary.LittleEndian.AppendUint32(to, of(e)) })
}

func long(name string, of func(*event.Event) uint64) field {
	return fixed(name, "UInt64", func(to []byte, e *event.Event) []byte { return binary.LittleEndian.AppendUint64(to, of(e)) })
}

// fields are the columns of `events`, by name: the table's order is its own.
var fields = []field{
	text("site", func(e *event.Event) string { return e.Site }),
	fixed("day", "Date", func(to []byte, e *event.Event) []byte {
		// What a Date cannot say is its first or last day, as when clickhouse-go appends it.
		return binary.LittleEndian.AppendUint16(to, uint16(min(max(e.Day, 0), math.MaxUint16)))
	}),
	moment("time", func(e *event.Event) int64 { return e.Time }),
	moment("received", func(e *event.Event) int64 { return e.Received }),
	{"row", func(to column.Interface, k *chunk) error {
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
	optional("published", timeKind, func(e *event.Event) bool { return e.Published == 0 }, func(to []byte, e *event.Event) []byte {
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
	fixed("mood", "Int8", func(to []byte, e *event.Event) []byte { return append(to, byte(e.Mood)) }),
	text("campaign", func(e *event.Event) string { return e.Campaign }),
	text("label", func(e *event.Event) string { return e.Label }),
	text("kind", func(e *event.Event) string { return e.Kind }),
	text("side", func(e *event.Event) string { return e.Side }),
	{"batch", func(to column.Interface, k *chunk) error {
		k.lowCardinality(func(*event.Event) string { return k.label })
		return k.take(to, "LowCardinality(String)")
	}},
}

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
