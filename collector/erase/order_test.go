package erase

import (
	"encoding/hex"
	"testing"

	"github.com/passalong/passalong/collector/event"
)

func order(kind Kind, name string, at int64) Order {
	return Order{ID: "o", Site: "news.example", Kind: kind, Digest: Digest(kind, "news.example", name), At: at}
}

// Orders are kept for as long as the retention: the form of a digest can never
// change.
func TestDigestIsWhatItWas(t *testing.T) {
	d := Digest(Visitor, "news.example", "member-4711")
	if got, want := hex.EncodeToString(d[:]), "ca7a600ad781f76f5ba366d8302ee1a428d6d9532e2f2010df1083cff9ef753e"; got != want {
		t.Errorf("%s, want %s: sha256 of visitor LF news.example LF member-4711", got, want)
	}
}

func TestWhatAnOrderHoldsFor(t *testing.T) {
	view := func(change func(*event.Event)) *event.Event {
		e := &event.Event{Site: "news.example", Type: "view", View: "v1", Visitor: "somebody", Received: 100}
		change(e)
		return e
	}
	visitor, token := order(Visitor, "ann", 100), order(Token, "v1", 100)
	for name, c := range map[string]struct {
		order Order
		event *event.Event
		want  bool
	}{
		"the visitor":                   {visitor, view(func(e *event.Event) { e.Visitor = "ann" }), true},
		"another visitor":               {visitor, view(func(e *event.Event) { e.Visitor = "bob" }), false},
		"no visitor":                    {order(Visitor, "", 100), view(func(e *event.Event) { e.Visitor = "" }), false},
		"received later":                {visitor, view(func(e *event.Event) { e.Visitor = "ann"; e.Received = 101 }), false},
		"of another site":               {visitor, view(func(e *event.Event) { e.Visitor = "ann"; e.Site = "shop.example" }), false},
		"a view":                        {token, view(func(*event.Event) {}), true},
		"a copy on it":                  {token, view(func(e *event.Event) { e.Type = "copy" }), true},
		"another view":                  {token, view(func(e *event.Event) { e.View = "v2" }), false},
		"who came by it":                {token, view(func(e *event.Event) { e.View = "v2"; e.Via = "v1" }), false},
		"a visitor of the token's name": {token, view(func(e *event.Event) { e.View = "v2"; e.Visitor = "v1" }), false},
		"a share":                       {order(Token, "s1", 100), view(func(e *event.Event) { e.Type = "share"; e.Token = "s1" }), true},
		"an opened link":                {order(Token, "l1", 100), view(func(e *event.Event) { e.Type = "open"; e.View = ""; e.Token = "l1" }), true},
		"no token":                      {order(Token, "", 100), view(func(e *event.Event) { e.View = "" }), false},
	} {
		set := NewSet([]Order{c.order})
		if got := set.Match(c.event); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := set.Sieve().First(c.event); got != c.want {
			t.Errorf("%s: %v by the sieve", name, got)
		}
	}
	var none Set
	if none.Match(view(func(*event.Event) {})) || none.Newest() != 0 {
		t.Error("no order holds for something")
	}
}

// One row tells whose the others of its view are.
func TestAVisitorsViewGoesWhole(t *testing.T) {
	row := func(kind, view, visitor string, change ...func(*event.Event)) *event.Event {
		e := &event.Event{Site: "news.example", Type: kind, View: view, Visitor: visitor, Received: 90}
		for _, f := range change {
			f(e)
		}
		return e
	}
	consented := func(e *event.Event) { e.Consented = true }
	strict := func(e *event.Event) { e.Privacy = "strict" }
	late := func(e *event.Event) { e.Received = 101 }
	set := NewSet([]Order{order(Visitor, "ann", 100)})
	s := set.Sieve()
	rows := []struct {
		is   string
		e    *event.Event
		want bool
	}{
		{"a view before the consent", row("view", "v1", "pseudonym"), true},
		{"the consent", row("engage", "v1", "ann", consented), true},
		{"of it, after the order", row("engage", "v1", "pseudonym", late), false},
		{"a view born by her", row("view", "v2", "ann"), true},
		{"of it, from another address", row("engage", "v2", "elsewhere"), true},
		{"somebody else's view", row("view", "v3", "bob"), false},
		{"a row of hers in it", row("engage", "v3", "ann"), true},
		{"a cohort she was of", row("view", "v4", "ann", strict), true},
		{"another reader of it", row("view", "v4", "bob", strict), false},
	}
	out := make([]bool, len(rows))
	for i, r := range rows {
		out[i] = s.First(r.e)
	}
	if !s.Owned() {
		t.Fatal("no view is hers")
	}
	for i, r := range rows {
		out[i] = out[i] || s.Second(r.e)
		if out[i] != r.want {
			t.Errorf("%s: left out %v", r.is, out[i])
		}
	}
	more := s.More()
	if len(more) != 2 {
		t.Fatalf("%d more orders, want those of v1 and v2", len(more))
	}
	set = NewSet(append(more, order(Visitor, "ann", 100)))
	again := set.Sieve()
	for _, r := range rows {
		again.First(r.e)
	}
	if n := len(again.More()); n != 0 {
		t.Errorf("%d more once they are known", n)
	}
}
