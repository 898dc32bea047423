package intake

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/passalong/passalong/collector/token"
)

// The web hands over the buffers of its connection as they are. The next
// request writes over them while the events still wait for the disk, and the
// caches must not change with them either.
func TestNothingOfARequestIsKept(t *testing.T) {
	in := newIntake(t, nil, nil)
	for _, agent := range []string{
		iphone,
		"Mozilla/5.0 (X11; FreeBSD amd64; rv:109.0) Gecko/20100101 Firefox/118.0", // names come out of the agent itself
		"Mozilla/5.0 (Linux; Android 14; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/131.0.6778.200 Mobile Safari/537.36 " + strings.Repeat("long ", 300),
	} {
		var buffer []byte
		piece := func(s string) (from, to int) {
			from = len(buffer)
			buffer = append(buffer, s...)
			return from, len(buffer)
		}
		agentFrom, agentTo := piece(agent)
		packageFrom, packageTo := piece("com.whatsapp")
		originFrom, originTo := piece("https://news.example")
		bodyFrom, bodyTo := piece(`{"site":"news.example","page":"https://News.example/a?utm_source=letter&x=1","canonical":"https://news.example/b","view":"` + view +
			`","seq":4,"referrer":"https://T.co/x","title":"T","language":"fr","zone":"Europe/Paris","author":"A","section":"S","visitor":"somebody","events":[{"type":"view","age":0,"hash":"written"},{"type":"copy","what":"text","age":1},{"type":"convert","name":"n","order":"o","age":2}]}`)
		text := func(from, to int) string { return unsafe.String(&buffer[from], to-from) }
		wire := func(r Request) []byte {
			events, err := in.Beacon(r)
			if err != nil {
				t.Fatal(err)
			}
			for i := range buffer {
				buffer[i] = '#'
			}
			var all []byte
			for _, e := range events {
				raw, err := e.MarshalVT()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, raw...)
			}
			return all
		}
		body := bytes.Clone(buffer[bodyFrom:bodyTo])
		got := wire(Request{
			Received: noon, Address: netip.MustParseAddr("203.0.113.7"), Agent: text(agentFrom, agentTo), Package: text(packageFrom, packageTo),
			Origin: text(originFrom, originTo), Body: buffer[bodyFrom:bodyTo],
		})
		want := wire(Request{Received: noon, Address: netip.MustParseAddr("203.0.113.7"), Agent: agent, Package: "com.whatsapp", Origin: "https://news.example", Body: body})
		if !bytes.Equal(got, want) || bytes.Contains(got, []byte("##")) {
			t.Errorf("%s:\n%q, want\n%q", agent, got, want)
		}
	}
}

// Events that were given back are as new.
func TestReleasedEventsLeaveNothing(t *testing.T) {
	in := newIntake(t, nil, nil)
	short := `{"site":"quiet.example","privacy":"strict","page":"https://quiet.example/a","view":"` + token.Cohort("quiet.example", "https://quiet.example/a", 6564, 2) + `","events":[{"type":"ask","age":0}]}`
	once := func(r Request) string {
		r.Origin = ""
		events, err := in.Beacon(r)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := events[0].MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		in.Release(events)
		return string(raw)
	}
	want := once(request(short))
	for range 20 {
		full := request(`{"site":"news.example","page":"https://news.example/a?utm_source=letter&fbclid=1","view":"` + view + `","seq":4,"via":"` + link +
			`","return":true,"referrer":"https://t.co/x","title":"T","author":"A","visitor":"somebody","events":[{"type":"copy","what":"text","chars":3,"age":1}]}`)
		full.Package = "com.whatsapp"
		once(full)
		if got := once(request(short)); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}
