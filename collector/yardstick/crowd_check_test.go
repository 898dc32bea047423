//go:build linux

package yardstick

import (
	"bytes"
	"testing"
	"time"

	"github.com/passalong/passalong/collector/hit"
	"github.com/passalong/passalong/collector/site"
)

// What the load generator sends is taken whole: a benchmark of refusals would
// look fast. And it is as varied as the figures say.
func TestTheCrowdSendsGoodBeacons(t *testing.T) {
	news, err := site.New("news.example")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCrowd(1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var readers [connections]reader
	agents, addresses, types, size := map[string]bool{}, map[string]bool{}, map[string]int{}, 0
	const beacons = 20_000
	for i := range beacons {
		r := &readers[i%len(readers)]
		request, events := c.request(nil, r, now)
		_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
		b, err := hit.Decode(body)
		if err == nil {
			err = b.Check(news, "https://news.example", now)
		}
		if err != nil {
			t.Fatalf("beacon %d: %v\n%s", i, err, body)
		}
		if len(b.Events) != events {
			t.Fatalf("beacon %d: %d events, said to be %d", i, len(b.Events), events)
		}
		agents[r.agent], addresses[r.address] = true, true
		for _, e := range b.Events {
			types[e.Type]++
		}
		size += len(body)
		b.Release()
	}
	if len(agents) < 200 || len(addresses) < beacons/3 {
		t.Errorf("%d agents, %d addresses", len(agents), len(addresses))
	}
	for _, kind := range []string{"view", "engage", "copy", "share"} {
		if types[kind] < beacons/50 {
			t.Errorf("%d of %d are of type %s", types[kind], beacons, kind)
		}
	}
	if mean := size / beacons; mean < 400 || mean > 600 {
		t.Errorf("a body has %d bytes", mean)
	}
}
