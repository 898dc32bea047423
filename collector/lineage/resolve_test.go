package lineage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/lineage"
)

var noon = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// born is a birth of its token, `after` noon.
func born(kind, token, via, visitor string, after time.Duration) lineage.Birth {
	at := noon.Add(after).UnixMilli()
	return lineage.Birth{Site: "news.example", Kind: kind, Token: token, Via: via, Visitor: visitor, Time: at, Received: at, Generation: -1}
}

func view(token, via, visitor string, after time.Duration) lineage.Birth {
	return born(lineage.View, token, via, visitor, after)
}

func with(b lineage.Birth, change func(*lineage.Birth)) lineage.Birth {
	change(&b)
	return b
}

func returned(b *lineage.Birth) { b.Returned = true }
func plain(b *lineage.Birth)    { b.Plain = true }

func cohort(generation int8) func(*lineage.Birth) {
	return func(b *lineage.Birth) { b.Generation = generation }
}

// Each case names what became of the last birth: "parent origin depth", and
// what is said of it besides.
func TestResolve(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	link := born(lineage.Link, "flyer", "", "", 0)
	ann := view("ann", "", "ann", 0)
	bob := view("bob", "ann", "bob", 5*minute)
	button := born(lineage.Share, "button", "bob", "bob", 6*minute)
	for name, c := range map[string]struct {
		births []lineage.Birth
		want   string
	}{
		"a first reader is a root":                        {[]lineage.Birth{ann}, "- ann 0"},
		"a friend is one deeper":                          {[]lineage.Birth{ann, bob}, "ann ann 1"},
		"a friend's friend is two deep":                   {[]lineage.Birth{ann, bob, view("cyd", "bob", "cyd", 9*minute)}, "bob ann 2"},
		"a link is a root":                                {[]lineage.Birth{link}, "- flyer 0"},
		"a link stays a root whatever it came by":         {[]lineage.Birth{ann, with(link, func(b *lineage.Birth) { b.Via = "ann" })}, "- flyer 0"},
		"who comes by a link is one deep":                 {[]lineage.Birth{link, view("bob", "flyer", "bob", hour)}, "flyer flyer 1"},
		"a share stands where its view stands":            {[]lineage.Birth{ann, bob, button}, "bob ann 1"},
		"a share is never a return":                       {[]lineage.Birth{ann, bob, with(button, returned)}, "bob ann 1"},
		"who comes by a share is one deeper than it":      {[]lineage.Birth{ann, bob, button, view("cyd", "button", "cyd", hour)}, "button ann 2"},
		"a parent in the same batch, told later":          {[]lineage.Birth{bob, ann, bob}, "ann ann 1"},
		"an unknown parent is a root that nobody has met": {[]lineage.Birth{bob}, "ann ann 1 pending"},
		"a share of an unknown view has a root's depth":   {[]lineage.Birth{button}, "bob bob 0 pending"},
		"of the same site only":                           {[]lineage.Birth{with(ann, func(b *lineage.Birth) { b.Site = "other.example" }), bob}, "ann ann 1 pending"},

		"the browser says that it came back":               {[]lineage.Birth{ann, with(bob, returned)}, "ann ann 0 return"},
		"a browser that came back to a link":               {[]lineage.Birth{link, with(view("bob", "flyer", "", hour), returned)}, "flyer flyer 0 return"},
		"a browser that came back, parent unknown":         {[]lineage.Birth{with(bob, returned)}, "ann ann 1 pending"},
		"a browser that came back to nothing is a root":    {[]lineage.Birth{with(ann, returned)}, "- ann 0"},
		"the same visitor":                                 {[]lineage.Birth{ann, view("again", "ann", "ann", minute)}, "ann ann 0 return"},
		"no visitor is not the same visitor":               {[]lineage.Birth{view("ann", "", "", 0), view("bob", "ann", "", minute)}, "ann ann 1"},
		"the same visitor by a share":                      {[]lineage.Birth{ann, bob, button, view("again", "button", "bob", hour)}, "button ann 1 return"},
		"a share has the visitor of its view":              {[]lineage.Birth{ann, bob, with(button, func(b *lineage.Birth) { b.Visitor = "tomorrow" }), view("again", "button", "bob", hour)}, "button ann 1 return"},
		"and not of its beacon":                            {[]lineage.Birth{ann, bob, with(button, func(b *lineage.Birth) { b.Visitor = "tomorrow" }), view("cyd", "button", "tomorrow", hour)}, "button ann 2"},
		"unless its view is unknown":                       {[]lineage.Birth{button, view("again", "button", "bob", hour)}, "button bob 0 return"},
		"a link has no visitor":                            {[]lineage.Birth{with(link, func(b *lineage.Birth) { b.Visitor = "bob" }), view("bob", "flyer", "bob", hour)}, "flyer flyer 1"},
		"a kept address, after 20 hours, plain":            {[]lineage.Birth{ann, with(view("later", "ann", "new", 20*hour), plain)}, "ann ann 0 return"},
		"a kept address, a millisecond early":              {[]lineage.Birth{ann, with(view("later", "ann", "new", 20*hour-time.Millisecond), plain)}, "ann ann 1"},
		"a kept address, but out of an app":                {[]lineage.Birth{ann, view("later", "ann", "new", 20*hour)}, "ann ann 1"},
		"a share's address is not kept":                    {[]lineage.Birth{ann, bob, button, with(view("later", "button", "new", 30*hour), plain)}, "button ann 2"},
		"a link's address is not kept":                     {[]lineage.Birth{link, with(view("later", "flyer", "new", 30*hour), plain)}, "flyer flyer 1"},
		"who comes by a return has its depth and one more": {[]lineage.Birth{ann, with(bob, returned), view("cyd", "bob", "cyd", hour)}, "bob ann 1"},

		"itself is no parent":                       {[]lineage.Birth{view("ann", "ann", "ann", 0)}, "- ann 0"},
		"a parent ten minutes younger":              {[]lineage.Birth{view("ann", "", "ann", 10*minute), view("bob", "ann", "bob", 0)}, "ann ann 1"},
		"a parent more than ten minutes younger":    {[]lineage.Birth{view("ann", "", "ann", 10*minute+time.Millisecond), view("bob", "ann", "bob", 0)}, "- bob 0"},
		"a parent whose beacon came late":           {[]lineage.Birth{with(ann, func(b *lineage.Birth) { b.Received += hour.Milliseconds() }), bob}, "ann ann 1"},
		"the oldest of a cycle is its root":         {[]lineage.Birth{view("bob", "cyd", "bob", minute), view("cyd", "ann", "cyd", 2*minute), view("ann", "bob", "ann", 0)}, "- ann 0"},
		"the others of a cycle keep their edge":     {[]lineage.Birth{view("ann", "cyd", "ann", 0), view("cyd", "bob", "cyd", 2*minute), view("bob", "ann", "bob", minute)}, "ann ann 1"},
		"equally old, the first received":           {[]lineage.Birth{with(view("ann", "bob", "ann", 0), func(b *lineage.Birth) { b.Received++ }), view("bob", "ann", "bob", 0)}, "- bob 0"},
		"equally old and received, the first token": {[]lineage.Birth{view("bob", "ann", "bob", 0), view("ann", "bob", "ann", 0)}, "- ann 0"},
		"a share that brought its own view":         {[]lineage.Birth{view("ann", "button", "ann", 0), born(lineage.Share, "button", "ann", "ann", minute)}, "ann ann 0"},

		"the earliest birth holds": {[]lineage.Birth{view("ann", "", "ann", 0), view("bob", "", "bob", 0), with(view("cyd", "ann", "cyd", 0), func(b *lineage.Birth) { b.Received += 5 }), view("cyd", "bob", "cyd", 0)}, "bob bob 1"},
		"the later is a double":    {[]lineage.Birth{view("ann", "", "ann", 0), view("bob", "", "bob", 0), view("cyd", "bob", "cyd", 0), with(view("cyd", "ann", "cyd", 0), func(b *lineage.Birth) { b.Received += 5 })}, "bob bob 1"},

		"a cohort's depth is its generation":        {[]lineage.Birth{with(ann, cohort(0)), with(bob, cohort(4))}, "ann ann 4"},
		"also where nobody knows its parent":        {[]lineage.Birth{with(bob, cohort(4))}, "ann ann 4 pending"},
		"a cohort has no visitor":                   {[]lineage.Birth{with(ann, cohort(0)), with(view("again", "ann", "ann", minute), cohort(1))}, "ann ann 1"},
		"nor a kept address":                        {[]lineage.Birth{with(ann, cohort(0)), with(with(view("later", "ann", "", 30*hour), plain), cohort(1))}, "ann ann 1"},
		"the browser alone knows a cohort's return": {[]lineage.Birth{with(ann, cohort(1)), with(with(view("again", "ann", "", hour), returned), cohort(1))}, "ann ann 1 return"},
		"who comes by a cohort is not compared":     {[]lineage.Birth{with(ann, cohort(3)), view("again", "ann", "ann", minute)}, "ann ann 4"},
	} {
		t.Run(name, func(t *testing.T) {
			last := c.births[len(c.births)-1]
			for _, n := range lineage.Resolve(c.births, nil) {
				if n.Key() != last.Key() {
					continue
				}
				got := fmt.Sprintf("%s %s %d", orDash(n.Parent), n.Origin, n.Depth)
				if n.Return {
					got += " return"
				}
				if n.Pending {
					got += " pending"
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				return
			}
			t.Error("no node")
		})
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestVersion(t *testing.T) {
	early := lineage.Node{Birth: view("ann", "", "ann", 0)}
	late := lineage.Node{Birth: view("ann", "", "ann", time.Millisecond), Revision: 8191}
	if early.Version() <= late.Version() {
		t.Error("a later birth, often decided, beats the earlier")
	}
	again := early
	again.Revision++
	if again.Version() <= early.Version() {
		t.Error("a decision anew does not beat the one before")
	}
	if got := lineage.RevisionOf(again.Version()); got != 1 {
		t.Errorf("revision %d read back, want 1", got)
	}
	again.Revision = 1 << 20
	if again.Version()>>13 != early.Version()>>13 {
		t.Error("the revision runs into the birth's bits")
	}
	other := early
	other.Page = "https://news.example/other"
	if (early.Version() > other.Version()) != lineage.Before(&early.Birth, &other.Birth) && early.Version() != other.Version() {
		t.Error("the table and the package disagree about the first birth")
	}
	// What is stored must not change with the program.
	if got, want := early.Version(), uint64(14691046831596740608); got != want {
		t.Errorf("version %d, want %d as stored by earlier versions", got, want)
	}
}

// Two births in one millisecond have one winner, and the table's versions,
// which hold eight bits of what tells them apart, agree with it.
func TestTheFirstBirthInTheTableIsTheSame(t *testing.T) {
	for i := range 2000 {
		a := lineage.Node{Birth: with(view("ann", "", "ann", 0), func(b *lineage.Birth) { b.Page = fmt.Sprint(i) })}
		b := lineage.Node{Birth: with(view("ann", "", "ann", 0), func(b *lineage.Birth) { b.Page = fmt.Sprint(i + 1) })}
		first, second := a, b
		if lineage.Before(&b.Birth, &a.Birth) {
			first, second = b, a
		}
		if first.Version() < second.Version() {
			t.Fatalf("pages %d and %d: the table keeps the other one", i, i+1)
		}
		changed := lineage.Resolve([]lineage.Birth{first.Birth}, []lineage.Node{second})
		if len(changed) != 1 || changed[0].Page != first.Page || changed[0].Version() <= second.Version() {
			t.Fatalf("pages %d and %d: written %+v over version %d", i, i+1, changed, second.Version())
		}
	}
}

// Who imports the same lines twice, under other salts, gets the same winners.
func TestTheSaltDoesNotDecide(t *testing.T) {
	for i := range 200 {
		salted := func(page, visitor string, network uint64) lineage.Birth {
			return with(view("ann", "", visitor, 0), func(b *lineage.Birth) { b.Page, b.Network = page, network })
		}
		one, two := fmt.Sprint("/", i), fmt.Sprint("/", i+1)
		a, b := salted(one, "3f", 1), salted(two, "77", 2)
		c, d := salted(one, "e0", 9), salted(two, "0b", 8)
		if lineage.Before(&a, &b) != lineage.Before(&c, &d) {
			t.Fatalf("pages %s and %s: the winner changed with the salt", one, two)
		}
	}
}

func TestAViewWinsOverAShareOfTheSameMoment(t *testing.T) {
	for i := range 200 {
		page := func(b *lineage.Birth) { b.Page = fmt.Sprint("/", i) }
		v, s := with(view("ann", "", "ann", 0), page), with(born(lineage.Share, "ann", "bob", "bob", 0), page)
		if !lineage.Before(&v, &s) || lineage.Before(&s, &v) {
			t.Fatalf("page %d: the share wins", i)
		}
		if (&lineage.Node{Birth: v}).Version() <= (&lineage.Node{Birth: s}).Version() {
			t.Fatalf("page %d: the table keeps the share", i)
		}
	}
}

func TestAChainOfAThousand(t *testing.T) {
	stored := table{}
	c := newCollector(stored, &consents{})
	for i := 1000; i >= 0; i-- { // the worst order: every parent is late
		stored.write(c.decide([]lineage.Birth{view(fmt.Sprintf("t%04d", i), fmt.Sprintf("t%04d", i-1), fmt.Sprint(i), 0)}).Changed)
	}
	for i := range 1001 {
		n := stored[lineage.Key{Site: "news.example", Token: fmt.Sprintf("t%04d", i)}]
		if n.Origin != "t-001" || n.Depth != uint32(i+1) {
			t.Fatalf("number %d: origin %s, depth %d", i, n.Origin, n.Depth)
		}
	}
}

// A chain of 200,000 is walked without recursion.
func TestALongChainInOneBatch(t *testing.T) {
	births := make([]lineage.Birth, 200_000)
	for i := range births {
		births[i] = view(fmt.Sprintf("t%07d", i), fmt.Sprintf("t%07d", i-1), "", 0)
	}
	births[0].Via = ""
	changed := lineage.Resolve(births, nil)
	if last := changed[len(changed)-1]; last.Depth != 199_999 || last.Origin != "t0000000" {
		t.Errorf("the last: %+v", last)
	}
}

func BenchmarkResolveBatch(b *testing.B) {
	births := make([]lineage.Birth, 10_000)
	var known []lineage.Node
	for i := range births {
		births[i] = view(fmt.Sprintf("new%05d", i), fmt.Sprintf("old%05d", i/2), fmt.Sprint(i), 0)
		if i%2 == 0 {
			n := lineage.Node{Birth: view(fmt.Sprintf("old%05d", i/2), "", "", 0), Fixed: true}
			n.Origin = n.Token
			known = append(known, n)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		lineage.Resolve(births, known)
	}
}

// A token that a million readers came by is born at last.
func BenchmarkAMillionChildren(b *testing.B) {
	known := make([]lineage.Node, 1_000_000)
	for i := range known {
		n := lineage.Node{Birth: view(fmt.Sprintf("t%07d", i), "ann", "", 0), Parent: "ann", Origin: "ann", Depth: 1, Pending: true}
		if i%2 == 1 {
			n.Via, n.Parent, n.Pending, n.Depth = known[i-1].Token, known[i-1].Token, false, 2
		}
		known[i] = n
	}
	births := []lineage.Birth{view("ann", "zoe", "ann", 0)}
	b.ReportAllocs()
	for b.Loop() {
		if got := len(lineage.Resolve(births, known)); got != 1_000_001 {
			b.Fatal(got)
		}
	}
}
