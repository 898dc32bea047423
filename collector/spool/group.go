package spool

import (
	"encoding/binary"
	"math"

	"github.com/passalong/passalong/collector/event"
)

// What one key holds at most. Both bound what a crash can tear and what the
// reader has in memory at once; measured, larger groups are not faster.
const (
	maxGroupEvents = 4096
	maxGroupBytes  = 4 << 20
)

// A group is the events of one commit, under the key of its first row:
//
//	format  checksum        count    before   received  count × (length, event)
//	1 byte  4 bytes, CRC32C uvarint  uvarint  varint    uvarint, protobuf
//
// The checksum covers the key and everything behind it.
type group struct {
	first    uint64
	count    uint64
	before   uint64 // bytes of all groups before this one, from the spool's birth
	received int64  // of its oldest event
	body     []byte
	size     uint64 // of key and value
}

func (g group) end() uint64 { return g.first + g.count }

// groupSize is the length of the value that encodeGroup appends.
func groupSize(g group, bodyLen int) int {
	var n [binary.MaxVarintLen64]byte
	return 5 + binary.PutUvarint(n[:], g.count) + binary.PutUvarint(n[:], g.before) +
		binary.PutVarint(n[:], g.received) + bodyLen
}

// encodeGroup appends the value of g, whose body is given in parts, to dst.
func encodeGroup(dst, key []byte, g group, parts [][]byte) []byte {
	start := len(dst)
	dst = append(dst, recordFormat, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, g.count)
	dst = binary.AppendUvarint(dst, g.before)
	dst = binary.AppendVarint(dst, g.received)
	for _, part := range parts {
		dst = append(dst, part...)
	}
	binary.LittleEndian.PutUint32(dst[start+1:], checksum(key, dst[start+5:]))
	return dst
}

// decodeGroup checks a record and reads its head. The body is not copied.
func decodeGroup(key, value []byte) (group, error) {
	first, err := parseRowKey(key)
	if err != nil {
		return group{}, err
	}
	g := group{first: first, size: uint64(len(key) + len(value))}
	if len(value) < 5 {
		return g, damagef("group of row %d: %d bytes are too few", first, len(value))
	}
	if value[0] != recordFormat {
		return g, damagef("group of row %d: format %d is not known", first, value[0])
	}
	body := value[5:]
	if binary.LittleEndian.Uint32(value[1:]) != checksum(key, body) {
		return g, damagef("group of row %d: checksum does not match", first)
	}
	var n1, n2, n3 int
	if g.count, n1 = binary.Uvarint(body); n1 > 0 {
		if g.before, n2 = binary.Uvarint(body[n1:]); n2 > 0 {
			g.received, n3 = binary.Varint(body[n1+n2:])
		}
	}
	if n1 <= 0 || n2 <= 0 || n3 <= 0 {
		return g, damagef("group of row %d: head does not end", first)
	}
	if g.count == 0 || g.count > maxGroupEvents || first > math.MaxUint64-g.count {
		return g, damagef("group of row %d: a count of %d", first, g.count)
	}
	g.body = body[n1+n2+n3:]
	return g, nil
}

// frames calls fn with the stored form of rows from ≤ row < to, in order. It
// walks the whole body, so that a frame too many is found whatever rows are
// asked for.
func (g group) frames(from, to uint64, fn func(row uint64, frame []byte) error) error {
	body := g.body
	for row := g.first; row < g.end(); row++ {
		length, n := binary.Uvarint(body)
		if n <= 0 || length > uint64(len(body)-n) {
			return damagef("row %d: event does not end", row)
		}
		frame := body[n : n+int(length)]
		body = body[n+int(length):]
		if row < from || row >= to {
			continue
		}
		if err := fn(row, frame); err != nil {
			return err
		}
	}
	if len(body) != 0 {
		return damagef("group of row %d: %d bytes too many", g.first, len(body))
	}
	return nil
}

// check says whether the body is made of as many frames as the head counts.
func (g group) check() error {
	return g.frames(0, 0, nil)
}

// appendEvent appends one frame of a group's body.
func appendEvent(dst []byte, e *event.Event) ([]byte, error) {
	size := e.SizeVT()
	dst = binary.AppendUvarint(dst, uint64(size))
	at := len(dst)
	dst = append(dst, make([]byte, size)...) // the compiler grows in place, without a second slice
	_, err := e.MarshalToSizedBufferVT(dst[at:])
	return dst, err
}
