package spool

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
)

// The keys. Sequence numbers are big endian, so that the order of bytes is the
// order of rows. An identity key is 17 bytes long and so never the key "id".
var (
	keyFormat = []byte("format") // number and version of the program
	keyID     = []byte("id")     // 16 random bytes
	keyMark   = []byte("mark")   // rows below are loaded
	keyNext   = []byte("next")   // next row, bytes of all groups ever written
)

const (
	prefixGroup    = 'e' // + first row → group
	prefixCut      = 'c' // + first row → row after the last
	prefixIdentity = 'i' // + identity of an import line → its day
	prefixDay      = 'd' // + day + identity → nothing: identities in the order they are forgotten
)

func rowKey(prefix byte, row uint64) []byte {
	key := make([]byte, 9)
	key[0] = prefix
	binary.BigEndian.PutUint64(key[1:], row)
	return key
}

func parseRowKey(key []byte) (uint64, error) {
	if len(key) != 9 {
		return 0, damagef("key %q: %d bytes, want 9", key[:1], len(key))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

func identityKey(identity [16]byte) []byte {
	return append([]byte{prefixIdentity}, identity[:]...)
}

// dayKey orders days before 1970 first: the sign bit is turned.
func dayKey(day int32, identity []byte) []byte {
	key := make([]byte, 5, 5+len(identity))
	key[0] = prefixDay
	binary.BigEndian.PutUint32(key[1:], uint32(day)^1<<31)
	return append(key, identity...)
}

func encodeDay(day int32) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(day))
}

// The first byte of each value this package makes, groups and numbers alike,
// but not of format and id, which must be readable for ever.
const recordFormat = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the key too, so that a record under a wrong key is found out.
func checksum(key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, body)
}

func decodeID(b []byte) (string, error) {
	if len(b) != 16 {
		return "", damagef("key id: %d bytes, want 16", len(b))
	}
	return hex.EncodeToString(b), nil
}

// encodeNumbers makes the value of mark, next and cuts.
func encodeNumbers(key []byte, numbers ...uint64) []byte {
	value := make([]byte, 5, 5+len(numbers)*binary.MaxVarintLen64)
	value[0] = recordFormat
	for _, n := range numbers {
		value = binary.AppendUvarint(value, n)
	}
	binary.LittleEndian.PutUint32(value[1:], checksum(key, value[5:]))
	return value
}

func decodeNumbers(key, value []byte, into ...*uint64) error {
	if len(value) < 5 {
		return damagef("key %q: %d bytes are too few", key, len(value))
	}
	if value[0] != recordFormat {
		return damagef("key %q: format %d is not known", key, value[0])
	}
	body := value[5:]
	if binary.LittleEndian.Uint32(value[1:]) != checksum(key, body) {
		return damagef("key %q: checksum does not match", key)
	}
	for _, n := range into {
		v, size := binary.Uvarint(body)
		if size <= 0 {
			return damagef("key %q: number does not end", key)
		}
		*n, body = v, body[size:]
	}
	if len(body) != 0 {
		return damagef("key %q: %d bytes too many", key, len(body))
	}
	return nil
}

// damagef makes an error that is ErrDamaged and says where.
func damagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}
