package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble tells a torn end of its log from damage in the middle by a later chunk,
// in a later block of 32 KiB, that says how far the log was synced. That misses
// the last block, and much more where groups are large: Pebble 2.1 counts only
// the parts of blocks it has written, not the full blocks between them
// (record/log_writer.go, flushLoop: writtenOffset), so that after a megabyte of
// 40 kB groups a chunk says 300 kB. Damage behind that passes for a torn tail, and
// what was acknowledged behind it is gone without a word; worse, its row numbers
// would be given again. So the witness is looked for here, before Pebble opens
// the log, and it is a better one: the committer begins a batch only when the
// one before is synced, so the head of any later batch shows that what is in
// front of it was on disk. So does the mark of an orderly end.
//
// The form of a chunk, record/record.go in Pebble 2.1 (format WAL sync chunks):
//
//	checksum  length   kind    log number  synced up to  payload
//	4 bytes   2 bytes  1 byte  4 bytes     8 bytes       length bytes
//
// all little endian; the checksum is LevelDB's masked CRC32C from the kind on. A
// payload begins with the sequence number of its Pebble batch. Chunks do not
// cross blocks.
const (
	logBlock  = 32 << 10
	chunkHead = 19

	chunkFull  = 9 // a batch in one chunk
	chunkFirst = 10
	chunkLast  = 12

	chunkEnd     = 5 // with the next log's number: the log was closed in order
	chunkEndHead = 11

	// A witness's batch comes soon after the last good one. It keeps a chunk that a
	// stranger has put into the text of an event from counting as a witness: they
	// would have to know this number. Larger than any batch has keys.
	sequenceWindow = 1 << 20
)

// checkLogs looks through the logs in dir for damage that Pebble would take for
// a torn tail.
func checkLogs(fs vfs.FS, dir string) error {
	files, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range files {
		stem, ok := strings.CutSuffix(name, ".log")
		number, err := strconv.ParseUint(stem, 10, 64)
		if !ok || err != nil {
			continue // a log's name is its number
		}
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			return err
		}
		log, err := io.ReadAll(f) // as large as a memtable
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if bad, witness := tornInside(log, uint32(number)); witness > 0 {
			return damagef("log %s: byte %d cannot be read, and byte %d shows that it was on disk", name, bad, witness)
		}
	}
	return nil
}

// tornInside finds the first chunk that cannot be read and, behind it, what was
// written when the unreadable one was on disk already. witness is 0 when there is
// none: then the tail is torn, as a crash leaves it.
func tornInside(log []byte, number uint32) (bad, witness int) {
	var sequence uint64
	at := 0
	for at < len(log) {
		if left := logBlock - at%logBlock; left < chunkHead && !closedAt(log, at, number) {
			at += left
			continue
		}
		c, ok := readChunk(log, at, number)
		if !ok {
			break
		}
		if c.begins {
			sequence = c.sequence
		}
		at = c.end
	}
	if at >= len(log) || closedAt(log, at, number) || at == 0 && firstLog(log, number) {
		return at, 0
	}
	for w := at + 1; w+chunkHead <= len(log); w++ {
		c, ok := readChunk(log, w, number)
		if ok && c.begins && c.sequence-sequence-1 < sequenceWindow {
			return at, w
		}
	}
	// Only at the very end: a few bytes like these may stand in an event.
	if w := len(log) - chunkEndHead; w > at && closedAt(log, w, number) {
		return at, w
	}
	return at, 0
}

type chunkRead struct {
	end      int
	begins   bool // a batch, whose sequence number it then has
	sequence uint64
}

func readChunk(log []byte, at int, number uint32) (c chunkRead, ok bool) {
	if at+chunkHead > len(log) {
		return c, false
	}
	head := log[at : at+chunkHead]
	kind := head[6]
	if kind < chunkFull || kind > chunkLast || binary.LittleEndian.Uint32(head[7:]) != number {
		return c, false
	}
	c.end = at + chunkHead + int(binary.LittleEndian.Uint16(head[4:]))
	if c.end > len(log) || (c.end-1)/logBlock != at/logBlock {
		return c, false
	}
	if maskedSum(log[at+6:c.end]) != binary.LittleEndian.Uint32(head) {
		return c, false
	}
	payload := log[at+chunkHead : c.end]
	if (kind == chunkFull || kind == chunkFirst) && len(payload) >= 8 {
		c.begins, c.sequence = true, binary.LittleEndian.Uint64(payload)
	}
	return c, true
}

// firstLog tells the very first log of a spool, which Pebble begins in an older
// form, without sync offsets. It holds the first keys and no event.
func firstLog(log []byte, number uint32) bool {
	const head, full, last = 11, 5, 8
	if len(log) < head || log[6] < full || log[6] > last || binary.LittleEndian.Uint32(log[7:]) != number {
		return false
	}
	end := head + int(binary.LittleEndian.Uint16(log[4:]))
	return end <= len(log) && maskedSum(log[6:end]) == binary.LittleEndian.Uint32(log)
}

// maskedSum is LevelDB's checksum of a chunk.
func maskedSum(b []byte) uint32 {
	sum := crc32.Checksum(b, castagnoli)
	return (sum>>15 | sum<<17) + 0xa282ead8
}

// closedAt tells whether the mark of an orderly end stands there.
func closedAt(log []byte, at int, number uint32) bool {
	if at+chunkEndHead > len(log) {
		return false
	}
	b := log[at : at+chunkEndHead]
	return binary.LittleEndian.Uint32(b) == 0 && binary.LittleEndian.Uint16(b[4:]) == 0 &&
		b[6] == chunkEnd && binary.LittleEndian.Uint32(b[7:]) == number+1
}
