package enrich

import "crypto/sha256"

// fixed is a book of salts that anybody can compute.
type fixed struct{}

func (fixed) For(site string, day int32) ([32]byte, error) {
	return sha256.Sum256([]byte{byte(len(site)), byte(day), byte(day >> 8), byte(day >> 16)}), nil
}
