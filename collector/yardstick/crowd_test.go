//go:build linux

package yardstick

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/passalong/passalong/collector/enrich"
	"github.com/passalong/passalong/collector/token"
)

// A crowd sends beacons as the snippet does: each reader looks at an article,
// most tell later how long, some copy or share. Agents are the real ones that
// the tables of facts have as examples, some 300.
type crowd struct {
	random   *rand.Rand
	agents   []string
	articles []article
	tokens   [4096]string // of the latest views: somebody came by one of them
	next     int
	body     []byte
}

// An article is what all beacons of its views have in common.
type article struct{ page, about string }

// A reader is one view. The zero value is nobody yet.
type reader struct {
	agent, address string
	origin         string // what all beacons of this view begin with
	seq, last      int
}

func newCrowd(seed uint64) (*crowd, error) {
	c := &crowd{random: rand.New(rand.NewPCG(seed, 4))}
	for _, table := range []string{"apps", "browsers", "devices", "systems"} {
		text, err := fs.ReadFile(enrich.Builtin(), table+".tsv")
		if err != nil {
			return nil, err
		}
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
			cells := strings.Split(line, "\t")
			c.agents = append(c.agents, cells[len(cells)-3])
		}
	}
	for i := range 500 {
		page := fmt.Sprintf("https://news.example/2026/11/%02d/an-article-of-usual-length-%d", 1+i%28, i)
		c.articles = append(c.articles, article{page, fmt.Sprintf(
			`"title":"An article of usual length, number %d","canonical":"`+page+`","language":"fr-FR","zone":"Europe/Paris","width":%d,"author":"Author %d","section":"Section %d","published":"2026-11-%02dT08:00:00Z",`,
			i, 360+i%60, i%40, i%8, 1+i%28)})
	}
	return c, nil
}

// arrive makes r a new reader.
func (c *crowd) arrive(r *reader, now time.Time) {
	at := &c.articles[min(c.random.IntN(len(c.articles)), c.random.IntN(len(c.articles)))] // few are read much
	var chance [6]byte
	for i := range chance {
		chance[i] = byte(c.random.UintN(62))
	}
	via, referrer := "", ""
	switch from := c.random.IntN(10); {
	case from < 3:
		if earlier := c.tokens[c.random.IntN(len(c.tokens))]; earlier != "" {
			via = `"via":"` + earlier + `",`
		}
	case from < 6:
		referrer = [...]string{"https://www.google.com/", "https://t.co/", "https://l.facebook.com/", "https://www.reddit.com/r/france/", "https://news.example/"}[c.random.IntN(5)]
		referrer = `"referrer":"` + referrer + `",`
	}
	view := token.New(now, chance)
	c.tokens[c.next%len(c.tokens)] = view
	c.next++
	*r = reader{
		agent: c.agents[c.random.IntN(len(c.agents))], address: c.address(),
		origin: `{"site":"news.example","page":"` + at.page + `","view":"` + view + `",` + via + referrer + at.about,
	}
	switch stays := c.random.IntN(10); {
	case stays < 3: // gone at once: the view alone
	case stays < 9:
		r.last = 1
	default:
		r.last = 3 // engage, share, engage
	}
}

// address is one of a million, a tenth of them IPv6.
func (c *crowd) address() string {
	n := c.random.Uint32N(1_000_000)
	if n%10 == 0 {
		return fmt.Sprintf("2a01:cb00:%x:%x::%x", n>>16, n&0xffff, n)
	}
	return fmt.Sprintf("%d.%d.%d.%d", 80+n%12, n>>16, n>>8&0xff, n&0xff)
}

// request appends the next beacon of a reader to dst, and says how many events
// are in it. A reader who has told everything makes place for another.
func (c *crowd) request(dst []byte, r *reader, now time.Time) ([]byte, int) {
	if r.agent == "" || r.seq > r.last {
		c.arrive(r, now)
	}
	b := append(c.body[:0], r.origin...)
	b = append(b, `"seq":`...)
	b = strconv.AppendInt(b, int64(r.seq), 10)
	events := 1
	switch {
	case r.seq == 0:
		b = append(b, `,"events":[{"type":"view","hash":"written","age":0}]}`...)
	case r.seq == 2:
		var chance [6]byte
		for i := range chance {
			chance[i] = byte(c.random.UintN(62))
		}
		b = append(b, `,"events":[{"type":"share","channel":"whatsapp","outcome":"done","token":"`...)
		b = append(b, token.New(now, chance)...)
		b = append(b, `","age":0}]}`...)
	default:
		b = append(b, `,"events":[{"type":"engage","visible":`...)
		b = strconv.AppendInt(b, int64(1000+c.random.IntN(90_000)), 10)
		b = append(b, `,"scroll":`...)
		b = strconv.AppendInt(b, int64(c.random.IntN(101)), 10)
		b = append(b, `,"age":0}`...)
		if c.random.IntN(4) == 0 {
			b = append(b, `,{"type":"copy","what":"text","chars":120,"words":21,"age":1500}`...)
			events++
		}
		b = append(b, `]}`...)
	}
	c.body = b
	r.seq++

	dst = append(dst, "POST /e HTTP/1.1\r\nHost: stats.news.example\r\nUser-Agent: "...)
	dst = append(dst, r.agent...)
	dst = append(dst, "\r\nAccept: */*\r\nAccept-Language: fr-FR,fr;q=0.9,en;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nContent-Type: text/plain;charset=UTF-8\r\n"+
		"Origin: https://news.example\r\nReferer: https://news.example/\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: "...)
	dst = append(dst, r.address...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(b)), 10)
	dst = append(dst, "\r\n\r\n"...)
	return append(dst, b...), events
}
