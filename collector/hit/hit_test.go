package hit

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/passalong/passalong/collector/site"
	"github.com/passalong/passalong/collector/token"
)

var (
	noon  = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	view  = token.New(noon, [6]byte{1, 2, 3, 4, 5, 6})
	via   = token.New(noon.Add(-time.Hour), [6]byte{6, 5, 4, 3, 2, 1})
	share = token.New(noon, [6]byte{7, 7, 7, 7, 7, 7})
)

// plain is a beacon with what is required and nothing else.
var plain = fields{
	"site": `"news.example"`, "page": `"https://news.example/a"`, "view": q(view),
	"events": `[{"type":"view","age":0}]`,
}

// fields is an object by name, each value as JSON; an empty value is left out.
type fields map[string]string

// with is a beacon's body: plain, changed in some fields.
func (f fields) with(change fields) []byte {
	all := maps.Clone(f)
	maps.Copy(all, change)
	m := map[string]jsontext.Value{}
	for k, v := range all {
		if v != "" {
			m[k] = jsontext.Value(v)
		}
	}
	b, err := json.Marshal(m, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(err)
	}
	return b
}

// event is a beacon with one event.
func event(f fields) fields { return fields{"events": "[" + string(f.with(nil)) + "]"} }

func q(s string) string {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// accept is Decode and Check, as a collector calls them.
func accept(body []byte, s *site.Site, origin string) (*Beacon, error) {
	b, err := Decode(body)
	if err != nil {
		return nil, err
	}
	return b, b.Check(s, origin, noon)
}

func news(t testing.TB, level site.Level) *site.Site {
	t.Helper()
	s, err := site.New("news.example", "news.example", "*.news.example")
	if err != nil {
		t.Fatal(err)
	}
	s.Privacy = level
	return s
}

// code is what the web answers to err: contract, section 4.
func code(t testing.TB, err error) (code int, field string) {
	t.Helper()
	if err == nil {
		return 204, ""
	}
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		t.Fatalf("%v is no *Error", err)
		return
	case e.Field == "" || e.Problem == "":
		t.Fatalf("error without field or problem: %#v", e)
	}
	if e.Foreign {
		return 403, e.Field
	}
	return 400, e.Field
}
