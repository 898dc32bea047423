package store_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/salt"
	"github.com/passalong/passalong/schema"
)

func TestSalts(t *testing.T) {
	enginetest.Reset(t)
	t.Cleanup(func() { enginetest.Reset(t) })
	dsn := enginetest.Start(t).DSN()
	if err := schema.Apply(t.Context(), dsn, schema.Options{}); err != nil {
		t.Fatal(err)
	}
	db := open(t, dsn)
	salts := db.Salts("")
	made := time.UnixMilli(1_791_000_000_123).UTC()
	one := salt.Salt{Site: "news.example", Day: 20727, Made: made, Secret: [32]byte{0, 1, '\'', '\\', 0xff}}
	two := salt.Salt{Site: "it's", Day: 20728, Made: made.Add(time.Millisecond), Secret: [32]byte{31: 7}}
	for _, s := range []salt.Salt{one, two, one} { // the same again does no harm
		if err := salts.Put(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	list := func() []salt.Salt {
		t.Helper()
		all, err := salts.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			all[i].Made = all[i].Made.UTC()
		}
		slices.SortFunc(all, func(a, b salt.Salt) int { return bytes.Compare(b.Secret[:], a.Secret[:]) })
		return slices.Compact(all)
	}
	if got, want := list(), []salt.Salt{one, two}; !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if err := salts.Delete(t.Context(), []salt.Salt{one, {Site: "gone", Day: 1, Made: made}}); err != nil {
		t.Fatal(err)
	}
	if got, want := list(), []salt.Salt{two}; !slices.Equal(got, want) {
		t.Errorf("after Delete: got %v, want %v", got, want)
	}
	if err := salts.Delete(t.Context(), nil); err != nil {
		t.Error(err)
	}
	// What a server remembers of the deletion is not the secret.
	var commands string
	if err := db.Conn().QueryRow(t.Context(), "SELECT arrayStringConcat(groupArray(command), '\n') FROM system.mutations WHERE table = 'salts'").Scan(&commands); err != nil {
		t.Fatal(err)
	}
	if commands == "" || strings.Contains(commands, string(one.Secret[:5])) || strings.Contains(strings.ToLower(commands), "00015c27ff") {
		t.Errorf("mutations: %q", commands)
	}
	if _, err := open(t, enginetest.Start(t).ReaderDSN()).Salts("").List(t.Context()); err == nil {
		t.Error("the reader can list salts")
	}
}
