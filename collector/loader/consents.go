package loader

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/lineage"
)

// consents collects which views brought a consented id, in a beacon of any
// type. At level strict nobody has one.
type consents struct {
	given []lineage.Consent
	seen  map[lineage.Consent]bool
}

func (c *consents) add(e *event.Event) {
	if !e.Consented || e.Bot || e.Privacy == "strict" || e.View == "" {
		return
	}
	one := lineage.Consent{Site: e.Site, View: e.View, Day: e.Day}
	if c.seen[one] {
		return
	}
	if c.seen == nil {
		c.seen = map[lineage.Consent]bool{}
	}
	c.seen[one] = true
	c.given = append(c.given, one)
}

// consentSpan is how many days before a beacon of a view the others are looked
// for. A view that is open for longer, and under two ids, may keep the second.
const consentSpan = 7

const (
	// As the view page_views has it: the id received first holds.
	consentedIDs = `/* loader: consented ids */
SELECT view, argMin(visitor, (received, batch, row)) FROM passalong.events
PREWHERE site = $1 AND day >= $2 AND consented = 1
WHERE bot = 0 AND privacy != 'strict' AND view GLOBAL IN (SELECT token FROM keys)
GROUP BY view`

	consentingSites = `/* loader: consenting sites */
SELECT DISTINCT site, '' FROM passalong.events PREWHERE consented = 1 WHERE bot = 0 AND privacy != 'strict' AND day >= $1`
)

// Consented implements lineage.Store. Most sites never ask for consent, and
// their batches cost no query.
func (n *nodes) Consented(ctx context.Context, views []lineage.Consent) (map[lineage.Key]string, error) {
	type ask struct {
		since  int32
		tokens []string
	}
	bySite := map[string]*ask{}
	for i := range views {
		v := &views[i]
		if !n.consenting[v.Site] {
			continue
		}
		a := bySite[v.Site]
		if a == nil {
			a = &ask{since: v.Day}
			bySite[v.Site] = a
		}
		a.since = min(a.since, v.Day)
		a.tokens = append(a.tokens, v.View)
	}
	ids := map[lineage.Key]string{}
	for site, a := range bySite {
		if err := n.consentedOf(ctx, site, max(0, a.since-consentSpan), a.tokens, ids); err != nil {
			return nil, fmt.Errorf("read consented ids: %w", err)
		}
	}
	return ids, nil
}

func (n *nodes) consentedOf(ctx context.Context, site string, since int32, tokens []string, ids map[lineage.Key]string) error {
	ctx, cancel := context.WithTimeout(ctx, n.attempt)
	defer cancel()
	keys, err := ext.NewTable("keys", ext.Column("token", "String"))
	if err == nil {
		_, err = keys.Block().Columns[0].Append(tokens)
	}
	if err != nil {
		return err
	}
	rows, err := n.db.Conn().Query(clickhouse.Context(ctx, clickhouse.WithExternalTable(keys)), consentedIDs, site, dayText(since))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var token, id string
		if err := rows.Scan(&token, &id); err != nil {
			return err
		}
		ids[lineage.Key{Site: site, Token: token}] = id
	}
	return rows.Err()
}

// consent remembers that a batch brought consented ids to these sites.
func (n *nodes) consent(given []lineage.Consent) {
	for i := range given {
		if !n.consenting[given[i].Site] {
			n.consenting[strings.Clone(given[i].Site)] = true // else it would keep its batch's memory
		}
	}
}

// learnConsenting reads which sites have consented rows since a day.
func (n *nodes) learnConsenting(ctx context.Context, since int32) error {
	ctx, cancel := context.WithTimeout(ctx, n.attempt)
	defer cancel()
	rows, err := n.db.Conn().Query(ctx, consentingSites, dayText(since))
	if err != nil {
		return fmt.Errorf("read consenting sites: %w", err)
	}
	sites, err := scanKeys(rows)
	if err != nil {
		return fmt.Errorf("read consenting sites: %w", err)
	}
	for _, k := range sites {
		n.consenting[k.Site] = true
	}
	return nil
}

func dayText(day int32) string { return dayTime(day).Format(time.DateOnly) }
