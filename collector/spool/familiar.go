package spool

import (
	"errors"

	"github.com/bits-and-blooms/bloom/v3"
	"github.com/cockroachdb/pebble/v2"
)

// familiar is a guess which identities are stored: never a false no, one false
// yes in a hundred. Almost every line of an import is new, and to be told so by
// Pebble costs 38 µs each (measured), because groups of megabytes push the
// small blocks of identities out of its cache.
//
// It takes 1.2 MB a million identities, from the first import on. It belongs to
// whoever has the turn in AppendLines.
type familiar struct {
	filters []*bloom.BloomFilter // each of twice the room of the one before
	free    uint                 // room in the last
}

const (
	firstRoom  = 1 << 20
	falseYeses = 0.01
)

func (f *familiar) known() bool { return f.filters != nil }

// read fills it from what is stored.
func (f *familiar) read(db *pebble.DB) (err error) {
	var fresh familiar
	fresh.grow()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixIdentity}, UpperBound: []byte{prefixIdentity + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if key := it.Key(); len(key) == 1+16 { // else it is the key `id`
			fresh.add([16]byte(key[1:]))
		}
	}
	if err := it.Error(); err != nil {
		return err
	}
	*f = fresh
	return nil
}

func (f *familiar) grow() {
	room := uint(firstRoom) << len(f.filters)
	f.filters, f.free = append(f.filters, bloom.NewWithEstimates(room, falseYeses)), room
}

// add remembers an identity that is stored or about to be.
func (f *familiar) add(identity [16]byte) {
	if f.free == 0 {
		f.grow()
	}
	f.filters[len(f.filters)-1].Add(identity[:])
	f.free--
}

// may says no only where the identity is not stored.
func (f *familiar) may(identity [16]byte) bool {
	for _, filter := range f.filters {
		if filter.Test(identity[:]) {
			return true
		}
	}
	return false
}
