package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/event"
)

// record makes a group's key and value.
func record(t testing.TB, first uint64, events []*event.Event) (key, value []byte) {
	t.Helper()
	var body []byte
	var err error
	for _, e := range events {
		if body, err = appendEvent(body, e); err != nil {
			t.Fatal(err)
		}
	}
	key = rowKey(prefixGroup, first)
	g := group{count: uint64(len(events)), before: 12345, received: 1790000000000}
	value = encodeGroup(nil, key, g, [][]byte{body})
	if len(value) != groupSize(g, len(body)) {
		t.Fatalf("a group of %d bytes was announced with %d", len(value), groupSize(g, len(body)))
	}
	return key, value
}

func TestGroupReadsBackAsItWasWritten(t *testing.T) {
	key, value := record(t, 40, beacon("a", 5))
	g, err := decodeGroup(key, value)
	must(t, err)
	if g.first != 40 || g.end() != 45 || g.before != 12345 || g.received != 1790000000000 || g.size != uint64(len(key)+len(value)) {
		t.Errorf("got %+v", g)
	}
	events, err := g.decode(41, 44)
	must(t, err)
	if names(events) != "a/1 a/2 a/3" {
		t.Errorf("got %s", names(events))
	}
}

func TestDamagedGroupIsRefused(t *testing.T) {
	seal := func(key, body []byte) []byte {
		value := append([]byte{recordFormat, 0, 0, 0, 0}, body...)
		binary.LittleEndian.PutUint32(value[1:], checksum(key, body))
		return value
	}
	key, value := record(t, 40, beacon("a", 2))
	for _, test := range []struct {
		name       string
		key, value []byte
		want       string
	}{
		{"empty", key, nil, "too few"},
		{"a newer record", key, append([]byte{9}, value[1:]...), "format 9 is not known"},
		{"a bit turned", key, append(bytes.Clone(value[:30]), append([]byte{value[30] ^ 1}, value[31:]...)...), "checksum"},
		{"cut short", key, value[:len(value)-1], "checksum"},
		{"under another key", rowKey(prefixGroup, 41), value, "checksum"},
		{"a short key", key[:5], value, "want 9"},
		{"no head", key, seal(key, []byte{0x80}), "head does not end"},
		{"no events", key, seal(key, []byte{0, 0, 0}), "a count of 0"},
		{"more events than a group holds", key, seal(key, []byte{0x81, 0x20, 0, 0}), "a count of 4097"},
		{"rows past the end of numbers", rowKey(prefixGroup, math.MaxUint64), seal(rowKey(prefixGroup, math.MaxUint64), []byte{2, 0, 0}), "a count of 2"},
		{"an event that is not there", key, seal(key, []byte{1, 0, 0}), "row 40: event does not end"},
		{"an event longer than the record", key, seal(key, []byte{1, 0, 0, 5, 1}), "row 40: event does not end"},
		{"bytes behind the events", key, seal(key, []byte{1, 0, 0, 0, 7}), "1 bytes too many"},
		{"an event that is no message", key, seal(key, []byte{1, 0, 0, 1, 0xff}), "row 40:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := decodeGroup(test.key, test.value)
			if err == nil {
				_, err = g.decode(0, math.MaxUint64)
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestAFieldOfANewerProgramIsKept(t *testing.T) {
	// Field 1999, a string: what a later version might add.
	e := beacon("a", 1)[0]
	known, err := e.MarshalVT()
	must(t, err)
	field := binary.AppendUvarint(nil, 1999<<3|2)
	field = append(field, "\x05hello"...)
	newer := &event.Event{}
	must(t, newer.UnmarshalVT(append(known, field...)))

	s := open(t, in(memory(t)))
	must(t, s.Append(t.Context(), []*event.Event{newer}))
	stored, err := events(t, mustNext(t, s, 0))[0].MarshalVT()
	must(t, err)
	if want := append(known, field...); !bytes.Equal(stored, want) {
		t.Errorf("got %q, want %q", stored, want)
	}
}

func FuzzGroup(f *testing.F) {
	key, value := record(f, 40, beacon("a", 3))
	f.Add(key, value, false)
	f.Add(key, value[:20], false)
	f.Add(key, []byte{recordFormat, 0, 0, 0, 0, 1, 0, 0, 1, 0xff}, true)
	f.Add([]byte("e"), []byte{}, false)
	f.Fuzz(func(t *testing.T, key, value []byte, seal bool) {
		if len(key) == 0 {
			return // Pebble hands out keys within the prefix
		}
		if seal && len(value) >= 5 { // else nearly everything ends at the checksum
			value = bytes.Clone(value)
			value[0] = recordFormat
			binary.LittleEndian.PutUint32(value[1:], checksum(key, value[5:]))
		}
		g, err := decodeGroup(key, value)
		if err == nil {
			var events []*event.Event
			events, err = g.decode(0, math.MaxUint64)
			if err == nil && uint64(len(events)) != g.count {
				t.Fatalf("%d events of %d", len(events), g.count)
			}
		}
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("got %v, want %v", err, ErrDamaged)
		}
		var n uint64
		if err := decodeNumbers(key, value, &n); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("got %v, want %v", err, ErrDamaged)
		}
	})
}
