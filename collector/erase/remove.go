package erase

import (
	"context"
	"fmt"
	"strings"
)

// digestsPerStatement keeps a statement below 256 KiB, a server's default limit.
const digestsPerStatement = 1000

// digestOf is Digest in SQL, of two columns.
func digestOf(kind Kind, site, name string) string {
	return "SHA256(concat('" + string(kind) + "\\n', " + site + ", '\\n', " + name + "))"
}

// A filter is what some orders of one site and moment hold for.
type filter struct {
	site, until     string // conditions
	visitor, tokens string // lists for IN, empty where there are none
}

func newFilter(orders []Order) filter {
	f := filter{
		site:  "site = " + literal(orders[0].Site),
		until: fmt.Sprintf("received <= fromUnixTimestamp64Milli(%d, 'UTC')", orders[0].At),
	}
	var visitors, tokens []string
	for _, o := range orders {
		digest := fmt.Sprintf("unhex('%x')", o.Digest)
		if o.Kind == Visitor {
			visitors = append(visitors, digest)
		} else {
			tokens = append(tokens, digest)
		}
	}
	f.visitor, f.tokens = strings.Join(visitors, ", "), strings.Join(tokens, ", ")
	return f
}

// in is a condition on one column, made of what may be none.
func in(kind Kind, column, list, and string) []string {
	if list == "" {
		return nil
	}
	condition := fmt.Sprintf("%s != '' AND %s IN (%s)", column, digestOf(kind, "site", column), list)
	if and != "" {
		condition = and + " AND " + condition
	}
	return []string{"(" + condition + ")"}
}

func oneOf(conditions ...[]string) string {
	var all []string
	for _, c := range conditions {
		all = append(all, c...)
	}
	if len(all) == 0 {
		return "0"
	}
	return "(" + strings.Join(all, " OR ") + ")"
}

func (f filter) rows() string {
	return f.site + " AND " + f.until + " AND "
}

// events: a view's rows bear it as view; a share's, link's, open's as token.
func (f filter) events() string {
	return f.rows() + oneOf(in(Visitor, "visitor", f.visitor, ""), in(Token, "view", f.tokens, ""), in(Token, "token", f.tokens, ""))
}

func (f filter) texts() string {
	return f.rows() + oneOf(in(Visitor, "visitor", f.visitor, ""), in(Token, "view", f.tokens, ""))
}

// nodes: a share goes with its view. What came by one of them stays, with the
// origin and depth it has.
func (f filter) nodes() string {
	return f.rows() + oneOf(in(Visitor, "visitor", f.visitor, "generation < 0"), in(Token, "token", f.tokens, ""), in(Token, "via", f.tokens, "kind = 'share'"))
}

// cohorts: at level strict a node is of all readers of a page, hour and
// generation, and bears the visitor of the first.
func (f filter) cohorts() string {
	return f.rows() + oneOf(in(Visitor, "visitor", f.visitor, "generation >= 0"))
}

// remove deletes what orders of one site and moment name, and says whether it
// found anything. The visitor's own rows go last: by them an attempt that was
// cut off finds the views again.
func (t table) remove(ctx context.Context, orders []Order) (found bool, err error) {
	var steps [][]Order
	var visitors, tokens []Order
	for _, o := range orders {
		if o.Kind == Visitor {
			visitors = append(visitors, o)
		} else {
			tokens = append(tokens, o)
		}
	}
	for len(tokens) > 0 {
		n := min(len(tokens), digestsPerStatement)
		steps, tokens = append(steps, tokens[:n]), tokens[n:]
	}
	if len(visitors) > 0 {
		steps = append(steps, visitors)
	}
	for _, some := range steps {
		f := newFilter(some)
		for _, from := range []struct{ name, where string }{
			{"passalong_private.texts", f.texts()},
			{"passalong.lineage", f.nodes()},
			{"passalong.events", f.events()},
		} {
			some, err := t.delete(ctx, from.name, from.where)
			if err != nil {
				return found, err
			}
			found = found || some
		}
		if f.visitor == "" {
			continue
		}
		some, err := t.removeFromCohorts(ctx, f)
		if err != nil {
			return found, fmt.Errorf("cohorts: %w", err)
		}
		found = found || some
	}
	return found, nil
}

func (t table) delete(ctx context.Context, name, where string) (found bool, err error) {
	n, err := t.number(ctx, "count()", name, where)
	if err != nil {
		return false, fmt.Errorf("look into %s: %w", name, err)
	}
	if n == 0 {
		return false, nil
	}
	if err := t.conn.Exec(ctx, "/* erase: delete */ ALTER TABLE "+t.local(name)+" DELETE WHERE "+where+" SETTINGS mutations_sync = 2"); err != nil {
		return false, fmt.Errorf("delete from %s: %w", name, err)
	}
	return true, nil
}

// count says what there is to erase for an order that has just been made.
func (t table) count(ctx context.Context, o Order, r *Result) (err error) {
	f := newFilter([]Order{o})
	events, texts, nodes := f.events(), f.texts(), f.nodes()
	if o.Kind == Visitor {
		// A mutation cannot ask another table, but a look can.
		views := "GLOBAL IN (" + t.views(f) + ")"
		events = f.rows() + oneOf(in(Visitor, "visitor", f.visitor, ""), []string{"view " + views})
		texts = events
		nodes = f.rows() + oneOf(in(Visitor, "visitor", f.visitor, "generation < 0"), []string{"token " + views, "(kind = 'share' AND via " + views + ")"})
		alone, shared, err := t.cohorts(ctx, f)
		if err != nil {
			return fmt.Errorf("cohorts: %w", err)
		}
		r.Nodes, r.Blank = uint64(len(alone)), uint64(len(shared))
	}
	if r.Events, err = t.number(ctx, "count()", "passalong.events", events); err != nil {
		return err
	}
	if r.Texts, err = t.number(ctx, "uniqExact(batch, row, item)", "passalong_private.texts", texts); err != nil {
		return err
	}
	n, err := t.number(ctx, "uniqExact(token)", "passalong.lineage", nodes)
	r.Nodes += n
	return err
}

// number reads one. What decides about deletion asks the rows, not the cache of
// what conditions gave before.
func (t table) number(ctx context.Context, what, name, where string) (uint64, error) {
	var rows []struct {
		N uint64 `ch:"n"`
	}
	err := t.conn.Select(ctx, &rows, "/* erase: count */ SELECT "+what+" AS n FROM "+name+" WHERE "+where+" SETTINGS use_query_condition_cache = 0")
	if err != nil || len(rows) != 1 {
		return 0, err
	}
	return rows[0].N, nil
}

func (t table) names(ctx context.Context, query string) ([]string, error) {
	var rows []struct {
		Name string `ch:"name"`
	}
	if err := t.conn.Select(ctx, &rows, query+" SETTINGS use_query_condition_cache = 0"); err != nil {
		return nil, err
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Name
	}
	return names, nil
}

// cohorts finds the nodes that bear a visitor at level strict: those of cohorts
// that nobody else was of, and the others.
func (t table) cohorts(ctx context.Context, f filter) (alone, shared []string, err error) {
	tokens, err := t.names(ctx, "/* erase: cohorts */ SELECT DISTINCT token AS name FROM passalong.lineage WHERE "+f.cohorts())
	if err != nil || len(tokens) == 0 {
		return nil, nil, err
	}
	shared, err = t.names(ctx, "/* erase: cohorts */ SELECT DISTINCT view AS name FROM passalong.events WHERE "+f.site+
		" AND type = 'view' AND bot = 0 AND view IN ("+literals(tokens)+") AND NOT ("+f.until+" AND "+oneOf(in(Visitor, "visitor", f.visitor, ""))+")")
	if err != nil {
		return nil, nil, err
	}
	others := map[string]bool{}
	for _, token := range shared {
		others[token] = true
	}
	for _, token := range tokens {
		if !others[token] {
			alone = append(alone, token)
		}
	}
	return alone, shared, nil
}

// removeFromCohorts deletes the nodes of cohorts that nobody else was of, and
// blanks the visitor of the others. Their tokens name nobody.
func (t table) removeFromCohorts(ctx context.Context, f filter) (found bool, err error) {
	alone, shared, err := t.cohorts(ctx, f)
	if err != nil {
		return false, err
	}
	if len(alone) > 0 {
		if _, err := t.delete(ctx, "passalong.lineage", f.cohorts()+" AND token IN ("+literals(alone)+")"); err != nil {
			return false, err
		}
	}
	if len(shared) > 0 {
		if err := t.conn.Exec(ctx, "/* erase: blank */ ALTER TABLE "+t.local("passalong.lineage")+" UPDATE visitor = '', network = 0 WHERE "+f.cohorts()+" SETTINGS mutations_sync = 2"); err != nil {
			return false, fmt.Errorf("blank visitor: %w", err)
		}
	}
	return len(alone)+len(shared) > 0, nil
}

// viewsOf makes orders of the views that are a visitor's: born by them, or with their
// consented id in any beacon. Such a view goes whole, also what came of it
// from another address or before the consent.
func (t table) viewsOf(ctx context.Context, o Order) ([]Order, error) {
	if o.Kind != Visitor {
		return nil, nil
	}
	names, err := t.names(ctx, "/* erase: views */ "+t.views(newFilter([]Order{o})))
	orders := make([]Order, len(names))
	for i, name := range names {
		orders[i] = Order{ID: o.ID, Site: o.Site, Kind: Token, Digest: Digest(Token, o.Site, name), At: o.At}
	}
	return orders, err
}

func (t table) views(f filter) string {
	return "SELECT DISTINCT name FROM (SELECT view AS name FROM passalong.events WHERE " + f.rows() +
		oneOf(in(Visitor, "visitor", f.visitor, "view != '' AND privacy != 'strict' AND (type = 'view' OR consented = 1)")) +
		" UNION ALL SELECT token FROM passalong.lineage WHERE " + f.rows() + oneOf(in(Visitor, "visitor", f.visitor, "kind = 'view' AND generation < 0")) + ")"
}

func literals(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = literal(s)
	}
	return strings.Join(quoted, ", ")
}

// later counts what came of the same visitor or view after the order.
func (t table) later(ctx context.Context, o Order) (uint64, error) {
	f := newFilter([]Order{o})
	f.until = "NOT " + f.until
	return t.number(ctx, "count()", "passalong.events", f.events())
}
