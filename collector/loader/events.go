package loader

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/event"
	"github.com/passalong/passalong/collector/spool"
)

// store brings a batch into `events`, each part once.
func (l *Loader) store(r retrier, b *spool.Batch) (*digest, error) {
	began := time.Now()
	counted, again := false, b.Again
	for {
		d, err := l.digest(r, &l.orders[0], b)
		if err != nil {
			return nil, err
		}
		for _, p := range d.parts {
			if err := l.storePart(r, p, again, &counted); err != nil {
				return nil, err
			}
		}
		err = r.do("look for erase orders", func(ctx context.Context) (err error) {
			again, err = l.orders[0].changed(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		if !again {
			l.figures.insert.add(time.Since(began))
			return d, nil
		}
		// An order came meanwhile: the rows are counted without what it names.
	}
}

// storePart inserts and, after anything but a clean first success, counts.
// again says that an earlier attempt may have been made.
// The first count of a batch sets counted.
func (l *Loader) storePart(r retrier, p *part, again bool, counted *bool) error {
	count := func() {
		if !*counted {
			*counted = true
			l.figures.recounts.Add(1)
		}
	}
	return r.do("insert events", func(ctx context.Context) error {
		p = p.without(l.quarantine.of(p.label))
		if again {
			count()
			there, err := l.reconcile(ctx, p)
			if err != nil || there {
				return err
			}
		}
		again = true
		if len(p.rows) == 0 {
			return nil
		}
		err := l.insertEvents(ctx, p)
		if class, _ := classify(err); class != ClassRow || !l.quarantine.open() {
			if err == nil {
				l.refused = 0
			}
			return err
		}
		refused, refusal, err := l.bisect(ctx, p, err)
		if err != nil {
			return err
		}
		if len(refused) < len(p.rows) {
			l.refused = 0
		}
		if l.refused += len(refused); l.refused > mostRefused {
			return fmt.Errorf("more than %d rows are refused and none is taken: %w", mostRefused, refusal)
		}
		if err := l.quarantine.put(p, refused); err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		l.figures.quarantined.Add(uint64(len(refused)))
		l.o.Logger.Error("rows are in quarantine: ClickHouse refuses them", "batch", p.label, "rows", len(refused))
		p = p.without(l.quarantine.of(p.label))
		// The halves of a bisection are many inserts: count them.
		count()
		there, err := l.reconcile(ctx, p)
		if err == nil && !there {
			err = errors.New("rows are missing after the bisection")
		}
		return err
	})
}

// insertEvents makes one attempt. Its query id begins with the label, so that
// whoever comes after can find what still runs.
func (l *Loader) insertEvents(ctx context.Context, p *part) error {
	ctx, cancel := context.WithTimeout(ctx, l.o.Attempt)
	defer cancel()
	batch, err := l.o.DB.Conn().PrepareBatch(insertContext(ctx, queryID(p.label)), eventsInsert)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	columns := batch.Columns()
	k := newChunk[event.Event](p.label)
	err = p.walk(chunkRows, func(rows []uint64, events []*event.Event) error {
		if err := ctx.Err(); err != nil { // Flush does not look
			return err
		}
		k.rows, k.records = rows, events
		return k.send(batch, columns, eventFields)
	})
	if err != nil {
		_ = batch.Abort() // the connection is dropped, which is all there is to do
		return fmt.Errorf("send: %w", err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

const queryPrefix = "passalong-load-"

// queryID is new for every attempt.
func queryID(label string) string { return queryPrefix + label + "-" + nonce() }

func nonce() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: see its doc
	return hex.EncodeToString(b[:])
}

// insertContext says what holds for every insert. The token is never one that
// was used before: see the package's doc.
func insertContext(ctx context.Context, id string) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithQueryID(id), clickhouse.WithSettings(clickhouse.Settings{
		"async_insert":               0,
		"insert_deduplication_token": id,
		// On a cluster: answered when the shard has it, not when it is queued here.
		"distributed_foreground_insert": 1,
		// A query that waits for rows on a connection that is gone cannot be killed
		// before this, in seconds (seen); by default 300.
		"receive_timeout": 10,
		// Nodes are told apart when they are read, so what replaces what need not be
		// found out on insert: measured, 4 µs a node.
		"optimize_on_insert": 0,
		// However many blocks come, the server makes one part of them.
		"min_insert_block_size_rows":  1 << 30,
		"min_insert_block_size_bytes": 1 << 30,
	}))
}

// reconcile finds out what became of earlier attempts, and says whether the
// part is there as a whole. Else nothing of it is.
func (l *Loader) reconcile(ctx context.Context, p *part) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.o.Attempt)
	defer cancel()
	if err := l.endOld(ctx, p.label); err != nil {
		return false, fmt.Errorf("end old insert: %w", err)
	}
	if l.o.Cluster != "" {
		// A replica that is behind would count too few.
		if err := l.o.DB.Conn().Exec(ctx, "/* loader: reconcile */ SYSTEM SYNC REPLICA ON CLUSTER `"+l.o.Cluster+"` passalong.events_local"); err != nil {
			return false, fmt.Errorf("sync replicas: %w", err)
		}
	}
	there, err := l.count(ctx, p)
	if err != nil {
		return false, fmt.Errorf("count: %w", err)
	}
	want := tallyOf(p.rows)
	switch {
	case there == want:
		return true, nil
	case there.rows == 0:
		return false, nil
	}
	l.o.Logger.Warn("part of a batch is there: inserting it anew", "batch", p.label, "rows", there.rows, "want", want.rows)
	if err := l.delete(ctx, p); err != nil {
		return false, fmt.Errorf("delete part: %w", err)
	}
	if there, err = l.count(ctx, p); err != nil {
		return false, fmt.Errorf("count after delete: %w", err)
	}
	if there.rows != 0 {
		return false, fmt.Errorf("delete part: %d rows are left", there.rows)
	}
	return false, nil
}

// endOld makes sure that no earlier insert of this label still runs: its
// connection may be gone and its rows yet come.
func (l *Loader) endOld(ctx context.Context, label string) error {
	processes, onCluster := "system.processes", ""
	if l.o.Cluster != "" {
		processes = "clusterAllReplicas('" + l.o.Cluster + "', system.processes)"
		onCluster = "ON CLUSTER `" + l.o.Cluster + "` "
	}
	prefix := queryPrefix + label + "-"
	for {
		var running uint64
		err := l.o.DB.Conn().QueryRow(ctx, `/* loader: endOld */
SELECT count() FROM `+processes+` WHERE startsWith(query_id, $1) OR startsWith(initial_query_id, $1)`, prefix).Scan(&running)
		if err != nil || running == 0 {
			return err
		}
		err = l.o.DB.Conn().Exec(ctx, `/* loader: endOld */
KILL QUERY `+onCluster+`WHERE startsWith(query_id, $1) OR startsWith(initial_query_id, $1) SYNC`, prefix)
		if err != nil {
			return err
		}
		// A query that cannot be stopped just now answers at once; SYNC does
		// not wait for it.
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A tally says how many rows there are and which: as many others, as when some
// are missing while others should have been left out, have another sum.
type tally struct{ rows, distinct, sum uint64 }

func tallyOf(rows []uint64) tally {
	t := tally{rows: uint64(len(rows)), distinct: uint64(len(rows))}
	for _, x := range rows {
		// ClickHouse's function intHash64.
		x ^= 0x4cf2d2baae6da887
		x = (x ^ x>>33) * 0xff51afd7ed558ccd
		x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
		t.sum += x ^ x>>33
	}
	return t
}

// count counts the rows of a part.
func (l *Loader) count(ctx context.Context, p *part) (t tally, err error) {
	// The condition cache answers from what it saw of a part before; a count
	// that decides about rows asks the rows.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"use_query_condition_cache": 0}))
	err = l.o.DB.Conn().QueryRow(ctx, `/* loader: count */
SELECT count(), uniqExact(row), sum(intHash64(row)) FROM passalong.events
WHERE batch = $1 AND time >= fromUnixTimestamp64Milli($2, 'UTC') AND time < fromUnixTimestamp64Milli($3, 'UTC')`,
		p.label, p.begin, p.end).Scan(&t.rows, &t.distinct, &t.sum)
	return t, err
}

func (l *Loader) delete(ctx context.Context, p *part) error {
	table := "passalong.events"
	if l.o.Cluster != "" {
		table = "passalong.events_local ON CLUSTER `" + l.o.Cluster + "`"
	}
	return l.o.DB.Conn().Exec(ctx, fmt.Sprintf(`/* loader: delete */
ALTER TABLE %s DELETE IN PARTITION %d WHERE batch = $1 SETTINGS mutations_sync = 2`, table, p.month), p.label)
}

// mostRefused is how many rows may be set aside of a part, and of several when
// none is taken between. More means that something is wrong with the server's
// idea of a row, not with the rows.
const mostRefused = 100

// bisect finds the rows that are refused, by inserting halves, and the last
// refusal. The others are in when err is nil.
func (l *Loader) bisect(ctx context.Context, p *part, refusal error) (refused []uint64, last error, err error) {
	var halve func(p *part) error
	halve = func(p *part) error {
		err := l.insertEvents(ctx, p)
		if class, _ := classify(err); class != ClassRow {
			return err // nil, or a state of the server
		}
		refusal = err
		if len(p.rows) == 1 {
			if refused = append(refused, p.rows[0]); len(refused) > mostRefused {
				return fmt.Errorf("more than %d rows are refused: %w", mostRefused, err)
			}
			return nil
		}
		middle := len(p.rows) / 2
		if err := halve(p.slice(0, middle)); err != nil {
			return err
		}
		return halve(p.slice(middle, len(p.rows)))
	}
	if len(p.rows) == 1 {
		return p.rows, refusal, nil // it was refused just now
	}
	middle := len(p.rows) / 2
	if err = halve(p.slice(0, middle)); err == nil {
		err = halve(p.slice(middle, len(p.rows)))
	}
	return refused, refusal, err
}
