package loader

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// A field is one column of a table and how it is filled from records.
type field[R any] struct {
	name string
	fill func(to column.Interface, k *chunk[R]) error
}

// insertInto names the columns: a column that a newer schema adds keeps its
// default, one that this schema lacks is an error before anything is sent.
func insertInto[R any](table string, fields []field[R]) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = "`" + f.name + "`"
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ")"
}

// chunkRows is how many rows are encoded and sent at a time. ClickHouse unpacks
// one chunk while the next is encoded, and the columns' memory is used again.
// Measured with 4,096, 8,192 and 16,384: the same within the noise.
const chunkRows = 8192

// A chunk is some records on their way, and memory that is used again from
// column to column and from chunk to chunk.
type chunk[R any] struct {
	label   string
	rows    []uint64
	records []*R

	strings []string
	native  []byte
	keys    []uint16
	known   map[string]uint16
	wire    wire
}

func newChunk[R any](label string) *chunk[R] {
	k := &chunk[R]{label: label, known: map[string]uint16{}}
	k.wire.reader = chproto.NewReader(&k.wire)
	return k
}

// send fills the columns of a batch that were taken at its begin, and sends them.
func (k *chunk[R]) send(batch driver.Batch, columns []column.Interface, fields []field[R]) error {
	for i, f := range fields {
		if err := f.fill(columns[i], k); err != nil {
			return errSchema{fmt.Errorf("column %s: %w", f.name, err)}
		}
	}
	return batch.Flush()
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
func (k *chunk[R]) take(to column.Interface, kind column.Type) error {
	if to.Type() != kind {
		return fmt.Errorf("is %s, want %s", to.Type(), kind)
	}
	k.wire.rest = k.native
	return to.Decode(k.wire.reader, len(k.records))
}

// fixed is a column of values of one width.
func fixed[R any](name string, kind column.Type, put func(to []byte, r *R) []byte) field[R] {
	return field[R]{name, func(to column.Interface, k *chunk[R]) error {
		k.native = k.native[:0]
		for _, r := range k.records {
			k.native = put(k.native, r)
		}
		return k.take(to, kind)
	}}
}

// optional is the same where a value may be missing: which are comes first.
func optional[R any](name string, kind column.Type, missing func(*R) bool, put func(to []byte, r *R) []byte) field[R] {
	return field[R]{name, func(to column.Interface, k *chunk[R]) error {
		k.native = k.native[:0]
		for _, r := range k.records {
			k.native = append(k.native, asByte(missing(r)))
		}
		for _, r := range k.records {
			k.native = put(k.native, r)
		}
		return k.take(to, "Nullable("+kind+")")
	}}
}

const lowCardinality = column.Type("LowCardinality(String)")

// text is a String or a LowCardinality of it, whichever the table says.
func text[R any](name string, of func(*R) string) field[R] {
	return field[R]{name, func(to column.Interface, k *chunk[R]) error {
		switch to.Type() {
		case lowCardinality:
			k.dictionary(of)
			return k.take(to, lowCardinality)
		case "String":
			k.strings = k.strings[:0]
			for _, r := range k.records {
				k.strings = append(k.strings, of(r))
			}
			_, err := to.Append(k.strings)
			return err
		}
		return fmt.Errorf("is %s, want String", to.Type())
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

// dictionary writes the different values, of which the first is the empty
// string, and one key a row.
func (k *chunk[R]) dictionary(of func(*R) string) {
	clear(k.known)
	k.known[""] = 0
	k.keys = k.keys[:0]
	k.native = append(k.native[:0], make([]byte, 2*8)...) // the head is known at the end
	k.native = append(k.native, 0)                        // the length of ""
	var last string
	var key uint16
	for _, r := range k.records {
		if v := of(r); v != last {
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

func moment[R any](name string, of func(*R) int64) field[R] {
	return fixed(name, moments, func(to []byte, r *R) []byte {
		return binary.LittleEndian.AppendUint64(to, uint64(of(r)))
	})
}

const moments = column.Type("DateTime64(3, 'UTC')")

// date takes days since 1970-01-01. A Date holds them up to 2149; what is
// outside becomes its first or last.
func date[R any](name string, of func(*R) int32) field[R] {
	return fixed(name, "Date", func(to []byte, r *R) []byte {
		return binary.LittleEndian.AppendUint16(to, uint16(min(max(of(r), 0), 1<<16-1)))
	})
}

func flag[R any](name string, of func(*R) bool) field[R] {
	return small(name, func(r *R) uint8 { return asByte(of(r)) })
}

func asByte(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func small[R any](name string, of func(*R) uint8) field[R] {
	return fixed(name, "UInt8", func(to []byte, r *R) []byte { return append(to, of(r)) })
}

func signed[R any](name string, of func(*R) int8) field[R] {
	return fixed(name, "Int8", func(to []byte, r *R) []byte { return append(to, byte(of(r))) })
}

func word[R any](name string, of func(*R) uint32) field[R] {
	return fixed(name, "UInt32", func(to []byte, r *R) []byte { return binary.LittleEndian.AppendUint32(to, of(r)) })
}

func long[R any](name string, of func(*R) uint64) field[R] {
	return fixed(name, "UInt64", func(to []byte, r *R) []byte { return binary.LittleEndian.AppendUint64(to, of(r)) })
}
