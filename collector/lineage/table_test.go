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
	awaited map[lineage.Key]bool
	doubt   lineage.Doubt
}

func newCollector(t table) *collector { return &collector{table: t, awaited: map[lineage.Key]bool{}} }

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
func (c *collector) decide(births []lineage.Birth) lineage.Decision {
	d, _ := lineage.Decide(context.Background(), c, births)
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
