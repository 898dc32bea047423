package lineage_test

import (
	"context"
	"maps"

	"github.com/passalong/passalong/collector/lineage"
)

// table stands for the table: of the rows of a key the largest version holds,
// of equal ones the last written.
type table map[lineage.Key]lineage.Node

func (t table) write(nodes []lineage.Node) {
	for _, n := range nodes {
		if held, exists := t[n.Key()]; !exists || n.Version() >= held.Version() {
			t[n.Key()] = n
		}
	}
}

// places drops what is bookkeeping.
func (t table) places() map[lineage.Key]lineage.Node {
	places := maps.Clone(t)
	for k, n := range places {
		places[k] = undated(n)
	}
	return places
}

func undated(n lineage.Node) lineage.Node {
	n.Revision = 0
	return n
}

// collector is one loader's look at the table: it remembers what its own
// nodes wait for, and thins the nodes it only looks at as the loader does.
type collector struct {
	table
	consents *consents
	awaited  map[lineage.Key]bool
	doubt    lineage.Doubt
}

func newCollector(t table, c *consents) *collector {
	return &collector{table: t, consents: c, awaited: map[lineage.Key]bool{}}
}

// A consent is a beacon that brought a consented id.
type consent struct {
	lineage.Consent
	visitor  string
	received int
}

// consents stands for the table of events.
type consents []consent

// ids picks of each view the id that was received first.
func (c consents) ids() map[lineage.Key]string {
	ids, at := map[lineage.Key]string{}, map[lineage.Key]int{}
	for _, one := range c {
		k := one.Key()
		if first, twice := at[k]; !twice || one.received < first {
			ids[k], at[k] = one.visitor, one.received
		}
	}
	return ids
}

func (c *collector) Consented(_ context.Context, views []lineage.Consent) (map[lineage.Key]string, error) {
	all, found := c.consents.ids(), map[lineage.Key]string{}
	for i := range views {
		if id, given := all[views[i].Key()]; given {
			found[views[i].Key()] = id
		}
	}
	return found, nil
}

func (c *collector) Look(_ context.Context, keys []lineage.Key) ([]lineage.Node, error) {
	var found []lineage.Node
	for _, k := range keys {
		if n, exists := c.table[k]; exists {
			n.Fixed, n.Page, n.Network, n.Day, n.Plain, n.Returned = true, "", 0, 0, false, false
			found = append(found, n)
		}
	}
	return found, nil
}

func (c *collector) Nodes(_ context.Context, by lineage.By, keys []lineage.Key) ([]lineage.Node, error) {
	wanted := map[lineage.Key]bool{}
	for _, k := range keys {
		wanted[k] = true
	}
	var found []lineage.Node
	for _, n := range c.table {
		key := n.Key()
		switch by {
		case lineage.ByOrigin:
			key.Token = n.Origin
		case lineage.ByVia:
			key.Token = n.Via
		}
		if wanted[key] {
			found = append(found, n)
		}
	}
	return found, nil
}

func (c *collector) Awaited(k lineage.Key) bool { return c.awaited[k] }

// decide reads; the caller writes, perhaps later.
func (c *collector) decide(births []lineage.Birth, consented ...consent) lineage.Decision {
	*c.consents = append(*c.consents, consented...) // the events are stored first
	var views []lineage.Consent
	for _, one := range consented {
		views = append(views, one.Consent)
	}
	d, _ := lineage.Decide(context.Background(), c, births, views)
	c.remember(d)
	return d
}

func (c *collector) remember(d lineage.Decision) {
	for i := range d.Changed {
		if d.Changed[i].Pending {
			c.awaited[d.Changed[i].ViaKey()] = true
		}
	}
	c.doubt.Add(d.Again)
}

// sweep does what the loader does each minute.
func (c *collector) sweep() lineage.Decision {
	var doubt lineage.Doubt
	doubt.Add(c.doubt)
	for _, n := range c.table {
		if _, born := c.table[n.ViaKey()]; born && n.Pending {
			doubt.Trees = append(doubt.Trees, n.ViaKey())
		}
	}
	d, _ := lineage.Repair(context.Background(), c, doubt)
	c.remember(d)
	return d
}
