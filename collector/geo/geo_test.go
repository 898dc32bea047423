package geo

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// bundled is where `make build` puts the country database.
const bundled = "../../bin/country.mmdb"

type record = mmdbtype.Map

func isoCountry(code string) record {
	return record{"country": record{"iso_code": mmdbtype.String(code)}}
}

func isoRegion(country, region string) record {
	r := isoCountry(country)
	r["subdivisions"] = mmdbtype.Slice{record{"iso_code": mmdbtype.String(region)}, record{"iso_code": mmdbtype.String("OXF")}}
	return r
}

// write makes a database of networks and returns its path.
func write(t testing.TB, kind string, networks map[string]mmdbtype.DataType) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, Description: map[string]string{"en": "test"}, RecordSize: 24})
	if err != nil {
		t.Fatal(err)
	}
	for network, value := range networks {
		_, ipnet, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(ipnet, value); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), kind+".mmdb")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := tree.WriteTo(out); err != nil {
		t.Fatal(err)
	}
	return path
}

func city(t testing.TB) string {
	return write(t, "GeoLite2-City", map[string]mmdbtype.DataType{
		"81.2.69.0/24":        isoRegion("GB", "ENG"),
		"2.16.0.0/13":         isoCountry("FR"),
		"2a02:8400::/24":      isoRegion("FR", "IDF"),
		"128.0.0.0/9":         isoCountry("US"),
		"89.160.0.0/17":       isoCountry("not a country"),
		"89.160.128.0/17":     isoRegion("SE", "ab"),
		"216.160.83.56/29":    record{"country": record{"iso_code": mmdbtype.Uint32(7)}},
		"2001:4860:4860::/48": isoCountry("US"),
	})
}

func TestFind(t *testing.T) {
	files := map[string]string{"city": city(t), "country": write(t, "GeoIP2-Country", map[string]mmdbtype.DataType{
		"81.2.69.0/24": isoCountry("GB"), "128.0.0.0/9": isoCountry("US"),
	}), "bundled": bundled}
	for _, c := range []struct{ name, file, address, country, region string }{
		{"country and its largest region", "city", "81.2.69.142", "GB", "ENG"},
		{"no region known", "city", "2.17.3.4", "FR", ""},
		{"IPv6", "city", "2a02:8400:1::1", "FR", "IDF"},
		{"IPv4 written as IPv6", "city", "::ffff:81.2.69.142", "GB", "ENG"},
		{"an interface in the address", "city", "2a02:8400:1::1%eth0", "FR", "IDF"},
		{"not in the file", "city", "1.1.1.1", "", ""},
		{"a country that is none", "city", "89.160.20.112", "", ""},
		{"a region in lower case", "city", "89.160.200.1", "SE", ""},
		{"a record of another shape", "city", "216.160.83.57", "", ""},
		{"loopback", "city", "127.0.0.1", "", ""},
		{"loopback, IPv6", "city", "::1", "", ""},
		{"private", "city", "192.168.1.7", "", ""},
		{"private, IPv6", "city", "fd00::7", "", ""},
		{"link-local", "city", "fe80::1%eth0", "", ""},
		{"multicast", "city", "224.0.0.1", "", ""},
		{"unspecified", "city", "0.0.0.0", "", ""},
		{"country database", "country", "81.2.69.142", "GB", ""},
		{"bundled database", "bundled", "81.2.69.142", "GB", ""},
		{"bundled database, IPv6", "bundled", "2a02:8400::1", "FR", ""},
		{"bundled database, private", "bundled", "10.0.0.1", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := Open(files[c.file])
			if err != nil {
				t.Fatal(err)
			}
			country, region := db.Find(netip.MustParseAddr(c.address))
			if country != c.country || region != c.region {
				t.Errorf("Find(%s) = %q, %q, want %q, %q", c.address, country, region, c.country, c.region)
			}
		})
	}
}

func TestFindOfNoAddress(t *testing.T) {
	db, err := Open(city(t))
	if err != nil {
		t.Fatal(err)
	}
	if country, region := db.Find(netip.Addr{}); country != "" || region != "" {
		t.Errorf("got %q, %q", country, region)
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	whole, err := os.ReadFile(city(t))
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	zeroed := append([]byte(nil), whole...)
	clear(zeroed[len(zeroed)/4 : len(zeroed)/2])
	for _, c := range []struct{ name, path, want string }{
		{"missing", filepath.Join(t.TempDir(), "none.mmdb"), "no such file"},
		{"a folder", t.TempDir(), "not a file"},
		{"empty", put("empty.mmdb", nil), "not a file with something in it"},
		{"text", put("text.mmdb", []byte("not a database\n")), "download it again"},
		{"still packed", put("packed.mmdb", append([]byte{0x1f, 0x8b, 8, 0}, whole[:100]...)), "download it again"},
		{"cut short by a byte", put("byte.mmdb", whole[:len(whole)-1]), "download it again"},
		{"cut in half", put("half.mmdb", whole[:len(whole)/2]), "download it again"},
		{"beginning lost", put("tail.mmdb", whole[len(whole)/2:]), "download it again"},
		{"networks, no countries", write(t, "GeoLite2-ASN", map[string]mmdbtype.DataType{"128.0.0.0/9": record{"autonomous_system_number": mmdbtype.Uint32(1)}}), "has no countries"},
		{"nothing in it", write(t, "country", nil), "has no countries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
	t.Run("damaged inside", func(t *testing.T) {
		// Not every damage shows at Open. What does not must not end a look-up.
		db, err := Open(put("zeroed.mmdb", zeroed))
		if err == nil {
			db.Find(netip.MustParseAddr("81.2.69.142"))
		}
	})
}

func TestFileOverwrittenInPlaceGivesNoCountry(t *testing.T) {
	raw, err := os.ReadFile(bundled)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "country.mmdb")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if country, _ := db.Find(netip.MustParseAddr("81.2.69.142")); country != "" {
		t.Errorf("got %q from a file that is gone", country)
	}
	if err := db.Reload(); err == nil {
		t.Error("an empty file was loaded")
	}
}

func TestReloadTakesTheNewFileUnderLookups(t *testing.T) {
	path := city(t)
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddr("81.2.69.142")
	newer := write(t, "GeoLite2-Country", map[string]mmdbtype.DataType{"81.2.69.0/24": isoCountry("IE"), "128.0.0.0/9": isoCountry("US")})
	if err := os.Rename(newer, path); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				if c, _ := db.Find(address); c != "GB" && c != "IE" {
					t.Errorf("got %q", c)
					return
				}
			}
		})
	}
	if err := db.Reload(); err != nil {
		t.Error(err)
	}
	readers.Wait()
	if c, _ := db.Find(address); c != "IE" || db.Kind() != "GeoLite2-Country" {
		t.Errorf("after Reload: %q from %s", c, db.Kind())
	}
}

// Whatever lies at the path, Open and Find come back.
func FuzzOpen(f *testing.F) {
	for _, path := range []string{city(f)} {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 1<<16 {
			return
		}
		path := filepath.Join(t.TempDir(), "x.mmdb")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		db, err := Open(path)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Open took %v", took)
		}
		if err != nil {
			return
		}
		for _, a := range []string{"81.2.69.142", "2a02:8400:1::1", "255.255.255.254"} {
			if country, region := db.Find(netip.MustParseAddr(a)); country != "" && !code(country, 2, 2) || region != "" && !code(region, 1, 3) {
				t.Errorf("%s: %q, %q", a, country, region)
			}
		}
	})
}

func BenchmarkFindBundled(b *testing.B) {
	db, err := Open(bundled)
	if err != nil {
		b.Fatal(err)
	}
	address := netip.MustParseAddr("81.2.69.142")
	b.ReportAllocs()
	for b.Loop() {
		db.Find(address)
	}
}

func BenchmarkFindCity(b *testing.B) {
	db, err := Open(city(b))
	if err != nil {
		b.Fatal(err)
	}
	address := netip.MustParseAddr("81.2.69.142")
	b.ReportAllocs()
	for b.Loop() {
		db.Find(address)
	}
}

func BenchmarkOpenBundled(b *testing.B) {
	for b.Loop() {
		if _, err := Open(bundled); err != nil {
			b.Fatal(err)
		}
	}
}
