package loader

import (
	"context"
	"sync"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// gatedDB calls before, once for each statement, when its first insert is about
// to begin: the loader has read by then whatever it reads before it.
type gatedDB struct {
	Database
	before func(query string)

	mu   sync.Mutex
	seen map[string]bool
}

func (g *gatedDB) Conn() driver.Conn { return gatedConn{g.Database.Conn(), g} }

type gatedConn struct {
	driver.Conn
	gate *gatedDB
}

func (c gatedConn) PrepareBatch(ctx context.Context, query string, o ...driver.PrepareBatchOption) (driver.Batch, error) {
	c.gate.mu.Lock()
	again := c.gate.seen[query]
	c.gate.seen[query] = true
	c.gate.mu.Unlock()
	if !again {
		c.gate.before(query)
	}
	return c.Conn.PrepareBatch(ctx, query, o...)
}
