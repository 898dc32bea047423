// Package erase carries out the right to erasure: it writes the order, takes
// what the order names out of every table, and looks whether anything is left.
//
// A caller can rely on this. The order is durable before anything is deleted,
// and it stays: [Set] tells a loader which rows not to send, so that a batch
// that is counted again after a crash does not bring them back. When Run
// returns nil, no row that was received before the order is left in `events`,
// `texts` and `lineage`, read back from the tables. The same order again finds
// nothing, and an order for somebody unknown is no error.
//
// Not promised: that rows received after the order are gone; the reader came
// back, and a new order is needed. Nor that other collectors' disks are clean
// when Run returns: each of them applies the order to what it still has.
//
// What surprises: no statement holds the visitor or the token. ClickHouse keeps
// the text of mutations in the data directory and of queries in its logs, so
// both are named by their SHA-256, which the server computes of each row. That
// reads a site's rows without an index; erasing is rare.
//
// The package knows ClickHouse's SQL, and neither its client nor the spool.
package erase

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Conn is what the package needs of a ClickHouse connection.
type Conn interface {
	Exec(ctx context.Context, query string, args ...any) error
	Select(ctx context.Context, dest any, query string, args ...any) error
}

// Subject is whose rows are to be erased: of a site, a visitor or a token.
type Subject struct {
	Site    string `json:"site"`
	Visitor string `json:"visitor,omitempty"`
	Token   string `json:"token,omitempty"`
}

// Check says what is wrong with a subject.
func (s Subject) Check() error {
	switch {
	case s.Site == "":
		return errors.New("no site is named")
	case s.Visitor == "" && s.Token == "":
		return errors.New("neither a visitor nor a token is named")
	case s.Visitor != "" && s.Token != "":
		return errors.New("a visitor and a token are named: one at a time")
	}
	return nil
}

// Result is what became of an order. It names nobody.
type Result struct {
	Order  string `json:"order"` // its id
	Events uint64 `json:"events"`
	Texts  uint64 `json:"texts"`
	Nodes  uint64 `json:"nodes"`
	Blank  uint64 `json:"blank"` // nodes of cohorts that stay for other readers, without this visitor
	Later  uint64 `json:"later"` // events received after the order, which stay
	Parts  uint64 `json:"parts"` // old parts of the tables that ClickHouse has not deleted yet
}

// Found says whether there was anything to erase.
func (r Result) Found() bool { return r.Events+r.Texts+r.Nodes+r.Blank > 0 }

// Options of Run. Conn and Subject are needed.
type Options struct {
	Conn    Conn
	Subject Subject
	Cluster string // name of the ClickHouse cluster, empty for one server

	// Flush loads what waits, so that it is counted as erased. nil: nothing waits.
	Flush func(context.Context) error
	// Close ends every attempt to load that was begun before the call, and takes
	// what is loaded off the spool. nil: nothing is open.
	Close func(context.Context) error

	// Sync makes what ClickHouse has written durable, before the parts that held
	// it are deleted early. nil: a server that keeps its own disk.
	Sync func() error

	Patience time.Duration // how long to wait for ClickHouse to delete old parts; 1 min
	Logger   *slog.Logger  // nil: nothing is logged
}

// mostRounds bounds how often what comes meanwhile is deleted. Each collector
// can bring rows back once: by the attempt it had begun before the order.
const mostRounds = 5

// Run erases. After an error the order may stand; the same again finishes it.
func Run(ctx context.Context, o Options) (r Result, err error) {
	if err := o.Subject.Check(); err != nil {
		return r, err
	}
	if o.Patience <= 0 {
		o.Patience = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := call(ctx, o.Flush); err != nil {
		return r, fmt.Errorf("load what waits: %w", err)
	}
	first := newOrder(o.Subject)
	r.Order = first.ID
	t := table{o.Conn, o.Cluster}
	// Counted before the order is there: from then on every collector deletes.
	if err := t.count(ctx, first, &r); err != nil {
		return r, fmt.Errorf("count: %w", err)
	}
	views, err := t.viewsOf(ctx, first)
	if err != nil {
		return r, fmt.Errorf("find views: %w", err)
	}
	// The visitor last: who obeys that order alone would delete the rows by
	// which the views are found.
	if err := t.write(ctx, append(views, first)); err != nil {
		return r, fmt.Errorf("write order: %w", err)
	}
	if err := t.carryOut(ctx, append(views, first), o.Close); err != nil {
		return r, fmt.Errorf("%w; order %s stands, the same command again finishes it", err, r.Order)
	}
	if r.Later, err = t.later(ctx, first); err != nil {
		return r, fmt.Errorf("look for later rows: %w", err)
	}
	if r.Found() {
		if o.Sync != nil {
			if err := o.Sync(); err != nil {
				return r, fmt.Errorf("sync: %w; the rows are gone from the tables", err)
			}
		}
		if r.Parts, err = t.dropOldParts(ctx, o.Patience); err != nil {
			// They go by themselves, a little later.
			o.Logger.Warn("old files of the tables are not deleted early", "order", r.Order, "error", err)
		}
	}
	o.Logger.Info("erased", "site", o.Subject.Site, "order", r.Order, "events", r.Events, "texts", r.Texts, "nodes", r.Nodes)
	return r, nil
}

func call(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

// carryOut closes what is open and deletes, until a look at the tables finds
// nothing.
func (t table) carryOut(ctx context.Context, orders []Order, closing func(context.Context) error) error {
	for range mostRounds {
		if err := call(ctx, closing); err != nil {
			return fmt.Errorf("close what is open: %w", err)
		}
		found, err := t.obey(ctx, &orders)
		if err != nil {
			return err
		}
		if !found {
			return nil
		}
	}
	return errors.New("rows keep coming back: a collector does not apply the order; is it of an older version?")
}

// obey deletes what orders of one site and moment name. A visitor's views that
// have none get an order of their own first.
func (t table) obey(ctx context.Context, orders *[]Order) (found bool, err error) {
	known := map[[32]byte]bool{}
	for _, o := range *orders {
		known[o.Digest] = true
	}
	var more []Order
	for _, o := range *orders {
		views, err := t.viewsOf(ctx, o)
		if err != nil {
			return false, fmt.Errorf("find views: %w", err)
		}
		for _, v := range views {
			if !known[v.Digest] {
				known[v.Digest] = true
				more = append(more, v)
			}
		}
	}
	if err := t.write(ctx, more); err != nil {
		return false, fmt.Errorf("write orders of %d views: %w", len(more), err)
	}
	*orders = append(*orders, more...)
	found, err = t.remove(ctx, *orders)
	return found || len(more) > 0, err
}

func newOrder(s Subject) Order {
	var id [8]byte
	rand.Read(id[:]) // never fails: see its doc
	o := Order{ID: hex.EncodeToString(id[:]), Site: s.Site, At: time.Now().UnixMilli()}
	if s.Visitor != "" {
		o.Kind, o.Digest = Visitor, Digest(Visitor, s.Site, s.Visitor)
	} else {
		o.Kind, o.Digest = Token, Digest(Token, s.Site, s.Token)
	}
	return o
}
