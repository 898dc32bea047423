package enrich

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
)

// What is hashed: the two must never give the same value for the same bytes.
const (
	ofVisitor = 'v'
	ofNetwork = 'n'
)

// keyed is 64 bits of SHA-256 over the salt, what it is for, the site, the
// address and the agent. A plain hash behind a secret of fixed length is enough
// here: three quarters of the digest are thrown away, so nobody can go on from
// it (length extension), and after two days the salt is gone.
func keyed(salt *[32]byte, what byte, site string, address netip.Addr, agent string) [8]byte {
	// Most agents fit, so that nothing is allocated.
	b := make([]byte, 0, 512)
	b = append(b, salt[:]...)
	b = append(b, what, byte(len(site)))
	b = append(b, site...)
	sixteen := address.As16()
	b = append(b, sixteen[:]...)
	b = append(b, agent...)
	sum := sha256.Sum256(b)
	return [8]byte(sum[:8])
}

// visitor is 16 hex characters that stand for a site's reader of one UTC day.
func visitor(salt *[32]byte, site string, address netip.Addr, agent string) string {
	h := keyed(salt, ofVisitor, site, address, agent)
	var text [16]byte
	hex.Encode(text[:], h[:])
	return string(text[:])
}

// network stands for the /24 of an IPv4 address, the /48 of an IPv6 address.
func network(salt *[32]byte, site string, address netip.Addr) uint64 {
	bits := 48
	if address.Is4() {
		bits = 24
	}
	if prefix, err := address.Prefix(bits); err == nil {
		address = prefix.Addr()
	}
	h := keyed(salt, ofNetwork, site, address, "")
	return binary.BigEndian.Uint64(h[:])
}

// bare is an address as it is counted: 192.0.2.1 written as ::ffff:192.0.2.1
// is the same reader, and so is one on another interface (the zone). An address
// that is not known is all zeros.
func bare(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv6Unspecified()
	}
	return a.Unmap().WithZone("")
}
