package torture

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/passalong/passalong/collector/token"
)

// A crowd makes beacons of readers who come by each other's tokens. Which ones
// depends on its seed and the clock alone. Any goroutine may ask for the next.
type crowd struct {
	mu       sync.Mutex
	chance   *rand.Rand
	serial   int
	views    []*seen            // the latest, of whom more beacons come
	known    map[string][]spot  // of a site: what somebody may come by
	promised map[string][]spot  // the same, of views whose own beacon comes later, or never
	last     map[*seen]*message // for those that are sent twice
	bulk     int                // events that every beacon of a new view has besides, each of some 2 kB on disk
}

// A spot is a token and the page it leads to.
type spot struct{ token, page string }

// seen is a view that was told of.
type seen struct {
	site, page, token, via          string
	address, agent, member, privacy string
	seq                             int
}

// A message is a beacon as it is sent.
type message struct {
	Site     string           `json:"site"`
	Privacy  string           `json:"privacy,omitempty"`
	Page     string           `json:"page"`
	View     string           `json:"view"`
	Seq      int              `json:"seq"`
	Via      string           `json:"via,omitempty"`
	Title    string           `json:"title"`
	Referrer string           `json:"referrer,omitempty"`
	Visitor  string           `json:"visitor,omitempty"`
	Return   bool             `json:"return,omitempty"`
	Events   []map[string]any `json:"events"`
}

func newCrowd(seed uint64) *crowd {
	return &crowd{chance: chance(seed, 1), known: map[string][]spot{}, promised: map[string][]spot{}, last: map[*seen]*message{}}
}

var agents = []string{
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/155.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:150.0) Gecko/20100101 Firefox/150.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 390.0.0.28.85",
}

const robot = "Mozilla/5.0 (compatible; NewsBot/1.0)"

// mostViews bounds the views of whom more is heard, and the tokens of a site
// that somebody comes by.
const mostViews = 300

// next makes a beacon.
func (c *crowd) next() *beacon {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	n := c.chance.IntN(100)
	if len(c.views) == 0 {
		n = 20
	}
	switch {
	case n < 6:
		return c.bad()
	case n < 10: // asks not to be counted
		v := c.view()
		b := c.beacon(v, &message{Events: []map[string]any{{"type": "view", "age": 0}}})
		b.signal, b.events, b.born = [...]string{"Sec-GPC", "DNT"}[c.chance.IntN(2)], nil, nil
		return b
	case n < 14:
		v := c.view()
		v.agent = robot
		return c.beacon(v, &message{Events: []map[string]any{{"type": "view", "age": 0}, c.share(v)}})
	case n < 60:
		return c.open()
	case n < 65:
		if b := c.again(); b != nil {
			return b
		}
	}
	return c.more()
}

// view is somebody who opens a page, mostly by a token.
func (c *crowd) view() *seen {
	v := &seen{
		site:    [...]string{"news.example", "news.example", "shop.example", "quiet.example", "member.example"}[c.chance.IntN(5)],
		address: fmt.Sprintf("203.0.%d.%d", c.chance.IntN(100), 1+c.chance.IntN(50)),
		agent:   agents[c.chance.IntN(len(agents))],
	}
	v.page = fmt.Sprintf("https://%s/2026/story-%d", v.site, c.chance.IntN(40))
	if v.site == "member.example" {
		v.privacy, v.member = "consent", fmt.Sprintf("member-%d", c.chance.IntN(200))
	}
	if known := c.known[v.site]; len(known) > 0 && c.chance.IntN(10) > 0 {
		from := known[c.chance.IntN(len(known))]
		v.via, v.page = from.token, from.page
	}
	now := time.Now()
	if v.site == "quiet.example" {
		v.privacy = "strict"
		v.token, _ = token.Next(v.site, v.page, v.via, now, false)
		return v
	}
	if early := c.promised[v.site]; len(early) > 0 && c.chance.IntN(4) == 0 {
		v.token, v.page = early[0].token, early[0].page
		c.promised[v.site] = early[1:]
	} else {
		v.token = c.mint(now)
	}
	if c.chance.IntN(15) == 0 {
		v.via = c.mint(now)
		c.promised[v.site] = append(c.promised[v.site], spot{v.via, v.page})
	}
	return v
}

// noise is text that no compression makes small.
func (c *crowd) noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = token.Alphabet[c.chance.IntN(62)]
	}
	return string(b)
}

func (c *crowd) mint(at time.Time) string {
	var digits [6]byte
	for i := range digits {
		digits[i] = byte(c.chance.IntN(62))
	}
	return token.New(at, digits)
}

// open is the first beacon of a view.
func (c *crowd) open() *beacon {
	v := c.view()
	m := &message{Return: c.chance.IntN(25) == 0, Events: []map[string]any{{"type": "view", "age": c.chance.IntN(3000), "hash": "written"}}}
	for c.chance.IntN(4) == 0 {
		m.Events = append(m.Events, c.event(v))
	}
	for range c.bulk {
		m.Events = append(m.Events, map[string]any{"type": "copy", "age": 0, "what": "text", "chars": c.chance.IntN(900)})
	}
	if c.bulk > 0 {
		m.Referrer = "https://elsewhere.example/" + c.noise(2000)
	}
	c.views = append(c.views, v)
	c.remember(spot{v.token, v.page}, v.site)
	if len(c.views) > mostViews {
		delete(c.last, c.views[0])
		c.views = c.views[1:]
	}
	return c.beacon(v, m)
}

func (c *crowd) remember(s spot, site string) {
	c.known[site] = append(c.known[site], s)
	if len(c.known[site]) > mostViews {
		c.known[site] = c.known[site][1:]
	}
}

// more is a later beacon of a view.
func (c *crowd) more() *beacon {
	v := c.views[c.chance.IntN(len(c.views))]
	m := &message{}
	for range 1 + c.chance.IntN(3) {
		m.Events = append(m.Events, c.event(v))
	}
	if v.site == "news.example" && c.chance.IntN(6) == 0 { // consents late
		v.member = fmt.Sprintf("reader-%d", c.chance.IntN(100))
	}
	return c.beacon(v, m)
}

// again is a beacon that the browser sends a second time.
func (c *crowd) again() *beacon {
	v := c.views[c.chance.IntN(len(c.views))]
	m := c.last[v]
	if m == nil {
		return nil
	}
	return c.finish(v, *m)
}

func (c *crowd) event(v *seen) map[string]any {
	switch c.chance.IntN(6) {
	case 0:
		return map[string]any{"type": "copy", "age": 0, "what": "text", "chars": c.chance.IntN(900), "words": c.chance.IntN(90)}
	case 1:
		e := c.share(v)
		if v.privacy != "strict" {
			c.remember(spot{e["token"].(string), v.page}, v.site)
		}
		return e
	case 2, 3:
		e := map[string]any{"type": "convert", "age": 0, "name": "purchase"}
		if c.chance.IntN(3) > 0 {
			e["order"] = fmt.Sprintf("order-%d-%d", c.serial, c.chance.IntN(1e6))
		}
		if c.chance.IntN(5) > 0 {
			cents := c.chance.IntN(500_000)
			e["value"] = json.Number(fmt.Sprintf("%d.%02d", cents/100, cents%100))
			e["currency"] = [...]string{"EUR", "USD", "JPY"}[c.chance.IntN(3)]
		}
		return e
	case 4:
		return map[string]any{"type": "answer", "age": 0, "source": "person", "channel": "whatsapp", "mood": 1}
	}
	return map[string]any{"type": "engage", "age": 0, "visible": c.chance.IntN(100_000), "scroll": c.chance.IntN(101)}
}

func (c *crowd) share(v *seen) map[string]any {
	name := v.token
	if v.privacy != "strict" {
		name = c.mint(time.Now())
	}
	return map[string]any{"type": "share", "age": 0, "channel": "whatsapp", "token": name, "outcome": "done"}
}

// beacon finishes the next beacon of a view.
func (c *crowd) beacon(v *seen, m *message) *beacon {
	m.Site, m.Privacy, m.Page, m.View, m.Via, m.Visitor, m.Seq = v.site, v.privacy, v.page, v.token, v.via, v.member, v.seq
	v.seq++
	if v.agent != robot {
		c.last[v] = m
	}
	return c.finish(v, *m)
}

// finish gives a message its number and says what must come of it.
func (c *crowd) finish(v *seen, m message) *beacon {
	m.Title = strconv.Itoa(c.serial)
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // it is made of texts and numbers
	}
	b := &beacon{serial: c.serial, site: m.Site, body: body, agent: v.agent, address: v.address}
	for i, e := range m.Events {
		text := func(name string) string { s, _ := e[name].(string); return s }
		r := row{
			serial: c.serial, item: i, site: m.Site, view: m.View, seq: m.Seq, kind: text("type"), via: m.Via,
			token: text("token"), order: text("order"), name: text("name"), coin: text("currency"), bot: v.agent == robot,
		}
		if v.privacy != "strict" {
			r.visitor = m.Visitor
		}
		if value, ok := e["value"].(json.Number); ok {
			whole, cents, _ := strings.Cut(value.String(), ".")
			n, _ := strconv.ParseInt(whole+cents, 10, 64)
			r.value = n * 100
		}
		b.events = append(b.events, r)
		switch {
		case r.bot:
		case r.kind == "view":
			b.born = append(b.born, r.view)
		case r.kind == "share" && v.privacy != "strict":
			b.born = append(b.born, r.token)
		}
	}
	return b
}

// bad is a beacon that is refused.
func (c *crowd) bad() *beacon {
	v := c.view()
	m := &message{Events: []map[string]any{{"type": "view", "age": 0}}}
	spoil, status := func([]byte) []byte { return nil }, 400
	switch c.chance.IntN(6) {
	case 0:
		spoil = func(body []byte) []byte { return body[:len(body)-2] }
	case 1:
		last := v.token[len(v.token)-1]
		v.token = v.token[:len(v.token)-1] + string(rune(token.Alphabet[(strings.IndexByte(token.Alphabet, last)+1)%62]))
	case 2:
		v.site, v.privacy, status = "elsewhere.example", "", 403
	case 3:
		v.page, status = "https://elsewhere.example/2026/story-1", 403
	case 4:
		m.Events = append(m.Events, map[string]any{"type": "copy", "age": 0, "what": "everything"})
	case 5:
		v.privacy = map[string]string{"": "strict", "strict": "consent", "consent": ""}[v.privacy]
	}
	b := c.beacon(v, m)
	if spoilt := spoil(b.body); spoilt != nil {
		b.body = spoilt
	}
	delete(c.last, v)
	b.refuse, b.events, b.born = status, nil, nil
	return b
}
