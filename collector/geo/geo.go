// Package geo finds the country of an address, and its region where the
// database knows regions.
//
// It reads MaxMind's GeoIP2 and GeoLite2 files (City, Country, Enterprise)
// and databases of the flat form that the bundled country.mmdb has. Find never
// fails: an address that is private, or not in the file, has no country. Open
// fails on what it cannot use, and its error says what to do.
//
// Not promised: that a place is right. Mobile networks and VPNs end elsewhere.
//
// What surprises: the file is mapped into memory, not read, so that only the
// pages in use count. Should somebody overwrite it in place instead of renaming
// a new one over it, pages can vanish under a look-up; that look-up then has no
// country, and the collector lives on (see Find).
package geo

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// A DB is an open database. It is safe for any number of goroutines.
type DB struct {
	path string
	file atomic.Pointer[file]
}

// A file is one state of the database on disk.
type file struct {
	kind string // as its metadata names it
	find func(netip.Addr) (country, region string, err error)
}

// Open maps a database.
func Open(path string) (*DB, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path}
	db.file.Store(f)
	return db, nil
}

// Reload maps the file that lies at the path now. When it cannot be used, the
// error says why and the old one stays.
func (db *DB) Reload() error {
	f, err := open(db.path)
	if err != nil {
		return err
	}
	// The old mapping goes when its last look-up has ended: the library gives it
	// back once nothing refers to it. Closing it here would pull it from under them.
	db.file.Store(f)
	return nil
}

// Kind is what the database calls itself, such as GeoLite2-City.
func (db *DB) Kind() string { return db.file.Load().kind }

// Find is the country (ISO 3166-1 alpha-2) and the region (ISO 3166-2 without
// the country) of an address; empty where they are not known.
func (db *DB) Find(address netip.Addr) (country, region string) {
	address = address.Unmap().WithZone("")
	if !address.IsValid() || !address.IsGlobalUnicast() || address.IsPrivate() {
		return "", ""
	}
	// A page that is gone from a mapped file is a fault, which ends the process
	// unless it is turned into a panic. A broken record may panic of itself.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			country, region = "", ""
		}
	}()
	country, region, err := db.file.Load().find(address)
	if err != nil || !code(country, 2, 2) {
		return "", ""
	}
	if !code(region, 1, 3) {
		region = ""
	}
	return country, region
}

// code reports whether s could be a code of ISO 3166. A damaged database may
// say anything, and what it says is stored.
func code(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// open maps a file and looks whether it gives countries.
func open(path string) (*file, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open geoip database: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, fmt.Errorf("open geoip database %s: not a file with something in it", path)
	}
	f, err := maxmind(path)
	if unknown := (geoip2.UnknownDatabaseTypeError{}); errors.As(err, &unknown) {
		f, err = flat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open geoip database %s: %w; it is damaged, cut short or not in the MaxMind DB format (.mmdb, unpacked): download it again", path, err)
	}
	if err := f.probe(); err != nil {
		return nil, fmt.Errorf("open geoip database %s, which calls itself %q: %w", path, f.kind, err)
	}
	return f, nil
}

// maxmind is a database whose type geoip2-golang knows.
func maxmind(path string) (*file, error) {
	r, err := geoip2.Open(path)
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, err
	}
	f := &file{kind: r.Metadata().DatabaseType}
	if strings.Contains(f.kind, "Country") {
		f.find = func(a netip.Addr) (string, string, error) {
			c, err := r.Country(a)
			if err != nil {
				return "", "", err
			}
			return c.Country.ISOCode, "", nil
		}
		return f, nil
	}
	f.find = func(a netip.Addr) (string, string, error) {
		c, err := r.City(a)
		if err != nil {
			return "", "", err
		}
		region := ""
		if len(c.Subdivisions) > 0 {
			region = c.Subdivisions[0].ISOCode // the largest stands first
		}
		return c.Country.ISOCode, region, nil
	}
	return f, nil
}

// flat is a database whose records have country_code at their top, as those of
// the npm packages @ip-location-db/*-country-mmdb do.
func flat(path string) (*file, error) {
	r, err := maxminddb.Open(path)
	if err != nil {
		return nil, err
	}
	// A record stands for a country and is the same for all its networks, so what
	// was read of it is kept: by the place of the record, never by address.
	var known [1024]atomic.Pointer[seen]
	find := func(a netip.Addr) (string, string, error) {
		result := r.Lookup(a)
		at := result.Offset()
		if !result.Found() {
			return "", "", result.Err()
		}
		slot := &known[at%uintptr(len(known))]
		if k := slot.Load(); k != nil && k.at == at {
			return k.country, "", nil
		}
		k := &seen{at: at}
		if err := result.DecodePath(&k.country, "country_code"); err != nil {
			return "", "", err
		}
		slot.Store(k)
		return k.country, "", nil
	}
	return &file{kind: r.Metadata.DatabaseType, find: find}, nil
}

// A seen record was read, and lies at a place in the file.
type seen struct {
	at      uintptr
	country string
}

// probes is how many addresses are looked up at Open, evenly over IPv4: damage
// in the middle of a file is seldom missed, and it takes some milliseconds.
const probes = 1 << 12

// probe refuses a file that is broken inside, or has no countries.
func (f *file) probe() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errors.New("a record cannot be read: download it again")
		}
	}()
	countries := 0
	for i := range uint32(probes) {
		n := i * (1 << 32 / probes)
		a := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 1})
		country, _, err := f.find(a)
		if wrong := (geoip2.InvalidMethodError{}); errors.As(err, &wrong) {
			break // a database of networks or providers
		} else if err != nil {
			return fmt.Errorf("look up: %w; it is damaged inside: download it again", err)
		}
		if code(country, 2, 2) {
			countries++
		}
	}
	if countries == 0 {
		return errors.New("it has no countries; a City or Country database is needed")
	}
	return nil
}
