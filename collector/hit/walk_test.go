package hit

import (
	"reflect"
	"testing"

	"github.com/passalong/passalong/collector/site"
)

// walked is what the walk alone makes of a body; nil: it gives up.
func walked(body []byte) *Beacon {
	r := open(body, "body")
	defer r.close()
	b := &Beacon{Privacy: site.Full}
	if !r.walkable(body) || r.all(b) != nil {
		return nil
	}
	return b
}

// decoded is what the general decoder makes of it.
func decoded(body []byte) (*Beacon, error) {
	r := open(body, "body")
	defer r.close()
	r.general(body)
	b := &Beacon{Privacy: site.Full}
	return b, r.all(b)
}

// What the walk takes, the decoder takes and reads the same.
func FuzzWalk(f *testing.F) {
	for _, body := range [][]byte{
		busy, usual,
		[]byte(`{"site":"a","site":"b"}`), []byte(`{"a":1,"b":"\"\\","c":"\ud83d\udc1f","d":"\ud83d"}`), []byte(`{ "a" : -0.5e+3 , "b" : [ ] }`),
		[]byte(`{"events":[{"type":"view","age":0,},]}`), []byte(`{"age":01}`), []byte(`{"seq":1e3,"return":true,"via":null}`), []byte("{\"title\":\"a\tb\"}"),
		[]byte("{\"title\":\"\xff\"}"), []byte(`{"x":truefalse}`), []byte(`{"":""}{`), []byte(`{"events":null,"title":"\\"}`), []byte(`{"a":"\"}`),
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got := walked(body)
		if got == nil {
			return
		}
		want, err := decoded(body)
		if err != nil {
			t.Fatalf("taken, but the decoder says %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("walk    %+v\ndecoder %+v", got, want)
		}
	})
}

// What the snippet sends costs no second reading.
func TestOurOwnBeaconsAreWalked(t *testing.T) {
	quoted := plain.with(fields{"title": `"He said \"no\" \\ and left: \u2028 🐟"`, "author": `"Åsa Ærø"`, "something": `12.5`})
	for _, body := range [][]byte{usual, busy, quoted} {
		if walked(body) == nil {
			t.Errorf("not walked: %s", body)
		}
	}
}

// A name of ours that shares its slot would have every beacon that has both
// read twice.
func TestNamesHaveSlotsOfTheirOwn(t *testing.T) {
	for _, names := range [][]string{
		{"site", "privacy", "page", "view", "seq", "via", "referrer", "return", "app", "title", "language", "zone", "width",
			"canonical", "author", "section", "published", "visitor", "events"},
		{"type", "age", "hash", "what", "chars", "words", "quote", "channel", "token", "outcome", "visible", "scroll",
			"name", "value", "currency", "order", "source", "mood", "text"},
	} {
		taken := map[uint64]string{}
		for _, name := range names {
			if other, ok := taken[slot(name)]; ok {
				t.Errorf("%s and %s", name, other)
			}
			taken[slot(name)] = name
		}
	}
}
