package web

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/config"
)

func prefixes(t testing.TB, text string) proxies {
	t.Helper()
	var p config.Prefixes
	if err := p.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return newProxies(p)
}

func TestWhoseAddressItIs(t *testing.T) {
	const local = "127.0.0.0/8,::1/128"
	for _, c := range []struct {
		name      string
		trusted   string
		peer      string
		forwarded string // lines of the header separated by |
		want      string
	}{
		{"nobody forwards", local, "203.0.113.7", "", "203.0.113.7"},
		{"a reader invents a header", local, "203.0.113.7", "198.51.100.1", "203.0.113.7"},
		{"a proxy on this machine", local, "127.0.0.1", "203.0.113.7", "203.0.113.7"},
		{"the reader's invention stands left of the truth", local, "127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"},
		{"a balancer behind a proxy", local + ",10.0.0.0/8", "127.0.0.1", "203.0.113.7, 10.1.2.3", "203.0.113.7"},
		{"a balancer that is not trusted is the reader", local, "127.0.0.1", "203.0.113.7, 10.1.2.3", "10.1.2.3"},
		{"the reader sits among the proxies", local + ",10.0.0.0/8", "127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"},
		{"each proxy adds a line of its own", local + ",10.0.0.0/8", "127.0.0.1", "198.51.100.1|203.0.113.7|10.1.2.3", "203.0.113.7"},
		{"IPv6", local, "::1", "2001:db8::7", "2001:db8::7"},
		{"IPv6 in brackets", local, "::1", "[2001:db8::7]", "2001:db8::7"},
		{"with a port", local, "127.0.0.1", "203.0.113.7:4711", "203.0.113.7"},
		{"IPv6 with a port", local, "127.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"},
		{"an IPv4 address written as IPv6", local, "127.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"},
		{"a peer written as IPv6", local, "::ffff:127.0.0.1", "203.0.113.7", "203.0.113.7"},
		{"a range written as IPv6", "::ffff:10.0.0.0/104", "10.1.2.3", "203.0.113.7", "203.0.113.7"},
		{"a zone is not part of an address", local, "::1", "fe80::1%eth0", "fe80::1"},
		{"spaces, tabs, empty elements", local, "127.0.0.1", ", ,\t203.0.113.7 ,,", "203.0.113.7"},
		{"a name instead of an address", local, "127.0.0.1", "203.0.113.7, unknown", "127.0.0.1"},
		{"garbage left of the reader", local, "127.0.0.1", "<script>, 203.0.113.7", "203.0.113.7"},
		{"garbage behind a trusted hop", local + ",10.0.0.0/8", "127.0.0.1", "_hidden, 10.1.2.3", "10.1.2.3"},
		{"no address at all", local, "127.0.0.1", "0.0.0.0", "127.0.0.1"},
		{"a bracket left open", local, "127.0.0.1", "[2001:db8::7", "127.0.0.1"},
		{"IPv4 in brackets", local, "127.0.0.1", "[203.0.113.7]", "127.0.0.1"},
		{"an empty header", local, "127.0.0.1", "", "127.0.0.1"},
		{"nobody is trusted", "", "127.0.0.1", "203.0.113.7", "127.0.0.1"},
		{"everybody is trusted", "0.0.0.0/0,::/0", "127.0.0.1", "203.0.113.7, 198.51.100.1", "203.0.113.7"},
	} {
		var lines [][]byte
		for line := range strings.SplitSeq(c.forwarded, "|") {
			lines = append(lines, []byte(line))
		}
		got := prefixes(t, c.trusted).client(netip.MustParseAddr(c.peer).Unmap(), lines)
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// The same on a real socket, with the header sent twice.
func TestAddressReachesIntake(t *testing.T) {
	r := start(t)
	a := r.send("POST", "/e", plain("X-Forwarded-For", "198.51.100.1, 203.0.113.7, 127.0.0.9"), strings.NewReader(beaconBody()))
	if got := r.door.request().Address.String(); a.status != 204 || got != "203.0.113.7" {
		t.Errorf("%d, address %s", a.status, got)
	}
	r = start(t, func(o *Options) { o.TrustedProxies = nil })
	r.send("POST", "/e", plain("X-Forwarded-For", "203.0.113.7"), strings.NewReader(beaconBody()))
	if got := r.door.request().Address.String(); got != "127.0.0.1" {
		t.Errorf("nobody trusted: address %s", got)
	}
}

// Whatever a client writes, it cannot make the address anything but what the
// nearest untrusted hop is, nor an address that is no address.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"203.0.113.7", "a, b", "[::1]:80, ::ffff:1.2.3.4", ",,,", "fe80::1%eth0", "1.2.3.4:99999", "[", "]", "[::1", "0.0.0.0", "127.0.0.1, 127.0.0.1"} {
		f.Add([]byte(seed))
	}
	trusted := prefixes(f, "127.0.0.0/8,::1/128")
	proxy, reader := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("203.0.113.7")
	f.Fuzz(func(t *testing.T, header []byte) {
		sent := bytes.Clone(header)
		if got := trusted.client(reader, [][]byte{header}); got != reader {
			t.Errorf("a reader made itself %s", got)
		}
		got := trusted.client(proxy, [][]byte{header})
		if !got.IsValid() || got.Is4In6() || got.Zone() != "" || got.IsUnspecified() {
			t.Errorf("address %q", got)
		}
		// What a trusted proxy appends is what counts.
		if got := trusted.client(proxy, [][]byte{append(append([]byte{}, header...), ", 203.0.113.7"...)}); got != reader {
			t.Errorf("%q pushed the reader's address aside: %s", header, got)
		}
		if !bytes.Equal(header, sent) {
			t.Error("the header was written to")
		}
	})
}

func FuzzHop(f *testing.F) {
	for _, seed := range []string{"203.0.113.7", "203.0.113.7:80", "[2001:db8::1]", "[2001:db8::1]:80", "::ffff:0.0.0.0", "[1.2.3.4]", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, ok := parseHop(text)
		if !ok {
			return
		}
		if again, ok := parseHop(a.String()); !ok || again != a {
			t.Errorf("%q is %s, which is %s", text, a, again)
		}
	})
}
