package loader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/passalong/passalong/collector/lineage"
)

// doubtful is how long another collector may take between reading nodes and
// writing what it decided from them, with room to spare: an attempt ends
// after a minute, and the next one reads anew.
const doubtful = 5 * time.Minute

// mostDoubts bounds what is remembered. Beyond it the oldest is forgotten; a
// node hung wrongly then waits for the next start's look through the table.
const mostDoubts = 200_000

// doubts are decisions that another collector may have built on while they
// were made.
type doubts struct{ list []doubt }

type doubt struct {
	since time.Time
	what  lineage.Doubt
}

func (d *doubts) add(what lineage.Doubt, now time.Time) {
	if what.Size() > 0 {
		// The strings are pieces of a batch, whose memory they would keep.
		for _, keys := range [][]lineage.Key{what.Trees, what.Tokens, what.Replaced} {
			for i := range keys {
				keys[i] = lineage.Key{Site: strings.Clone(keys[i].Site), Token: strings.Clone(keys[i].Token)}
			}
		}
		what.Consents = slices.Clone(what.Consents) // the batch's own may be read for another attempt
		for i, c := range what.Consents {
			what.Consents[i].Site, what.Consents[i].View = strings.Clone(c.Site), strings.Clone(c.View)
		}
		d.list = append(d.list, doubt{now, what})
	}
	size := 0
	for i := len(d.list) - 1; i >= 0; i-- {
		size += d.list[i].what.Size()
		if size > mostDoubts || now.Sub(d.list[i].since) > doubtful {
			d.list = slices.Delete(d.list, 0, i+1)
			return
		}
	}
}

func (d *doubts) all() (sum lineage.Doubt) {
	for i := range d.list {
		sum.Add(d.list[i].what)
	}
	return sum
}

// sweep repairs what could not be seen when it was decided: edges whose
// parent was born at another collector at the same time, or just before a
// crash, what was hung into a tree while that was decided anew, and views born
// at one collector whose reader consented at the other.
func (l *Loader) sweep(r retrier) error {
	return r.do("sweep", func(ctx context.Context) error {
		if err := l.nodes.know(ctx); err != nil {
			return err
		}
		if !l.nodes.alone { // another collector may have met the first consent of a site
			if err := l.nodes.learnConsenting(ctx, int32(time.Now().Unix()/86400)-1); err != nil {
				return err
			}
		}
		doubt := l.nodes.doubts.all()
		born, err := l.nodes.keys(ctx, bornParents)
		if err != nil {
			return fmt.Errorf("find born parents: %w", err)
		}
		doubt.Trees = append(doubt.Trees, born...)
		if !l.nodes.checked {
			crossed, err := l.nodes.keys(ctx, crossedOrigins)
			if err != nil {
				return fmt.Errorf("check origins: %w", err)
			}
			doubt.Trees = append(doubt.Trees, crossed...)
		}
		d, err := lineage.Repair(ctx, l.nodes, doubt)
		if err != nil {
			return fmt.Errorf("repair: %w", err)
		}
		if len(d.Changed) == 0 {
			d.Again = lineage.Doubt{} // else a doubt would renew itself for ever
		}
		if err := l.nodes.write(ctx, d); err != nil {
			return err
		}
		l.nodes.checked = true
		l.figures.repaired.Add(uint64(len(d.Changed)))
		return l.obey(ctx)
	})
}

// Rows that no longer hold stay in the table until a merge, and FINAL over
// all of it is dear. So the first step reads every row that ever waited, the
// second keeps those whose parent exists, and only of these the row that
// holds is looked for.
const (
	bornParents = `/* loader: sweep, parents born meanwhile */
WITH
    waiting AS (SELECT DISTINCT site, via FROM passalong.lineage WHERE pending = 1),
    born AS (SELECT DISTINCT site, token FROM passalong.lineage WHERE (site, token) GLOBAL IN (SELECT site, via FROM waiting))
SELECT DISTINCT site, via
FROM passalong.lineage FINAL
WHERE pending = 1
    AND (site, token) GLOBAL IN (SELECT site, token FROM passalong.lineage WHERE pending = 1 AND (site, via) GLOBAL IN (SELECT site, token FROM born))`

	// An origin is a root. One that is not was written by a decision that a
	// crash cut in two.
	crossedOrigins = `/* loader: sweep, origins that are no roots */
SELECT site, token
FROM passalong.lineage FINAL
WHERE parent != ''
    AND (site, token) GLOBAL IN (SELECT DISTINCT site, origin FROM passalong.lineage WHERE origin != token)`
)

func (n *nodes) keys(ctx context.Context, query string) ([]lineage.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, n.attempt)
	defer cancel()
	rows, err := n.db.Conn().Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return scanKeys(rows)
}
