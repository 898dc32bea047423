package web

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
)

// proxies are the ranges whose X-Forwarded-For is believed.
type proxies []netip.Prefix

// newProxies writes ranges of IPv4-mapped addresses as the IPv4 ranges they
// mean: addresses are compared unmapped.
func newProxies(ranges []netip.Prefix) proxies {
	out := make(proxies, 0, len(ranges))
	for _, p := range ranges {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	return out
}

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(r netip.Prefix) bool { return r.Contains(a) })
}

// address is the reader's address: of the peer, or of the nearest hop that is
// no trusted proxy.
func (s *Server) address(c *fiber.Ctx) netip.Addr {
	return s.trusted.client(peer(c), c.Request().Header.PeekAll("X-Forwarded-For"))
}

// peer is the address at the other end of the connection.
func peer(c *fiber.Ctx) netip.Addr { return addressOf(c.Context().RemoteAddr()) }

func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// client walks X-Forwarded-For from the right, where the nearest proxy wrote,
// past every trusted address. The first other one is the reader's; what stands
// left of it may be the reader's own invention. Where something is no address,
// the hop that passed it on is the last that is known.
func (p proxies) client(peer netip.Addr, forwarded [][]byte) netip.Addr {
	known := peer
	for _, line := range slices.Backward(forwarded) {
		for len(line) > 0 {
			if !p.trust(known) {
				return known
			}
			i := bytes.LastIndexByte(line, ',')
			hop := strings.Trim(utils.UnsafeString(line[i+1:]), " \t") // an address holds nothing of its text
			line = line[:max(i, 0)]
			if hop == "" {
				continue // empty elements of a list count as nothing (RFC 9110, section 5.6.1)
			}
			a, ok := parseHop(hop)
			if !ok {
				return known
			}
			known = a
		}
	}
	return known
}

// parseHop reads an address as proxies write it: bare, in brackets, with a
// port (Azure's gateways add one).
func parseHop(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		var withPort netip.AddrPort
		if withPort, err = netip.ParseAddrPort(text); err == nil {
			a = withPort.Addr()
		} else if inner, ok := strings.CutPrefix(text, "["); ok {
			a, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
			if !strings.HasSuffix(text, "]") || !a.Is6() {
				return netip.Addr{}, false
			}
		}
	}
	a = a.Unmap().WithZone("")
	return a, err == nil && !a.IsUnspecified()
}

// network is what limits count: an IPv4 address, or the /64 that one customer
// has of IPv6.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}
