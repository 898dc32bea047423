package torture

import (
	"fmt"
	"testing"
)

// A serverState is an answer that says what a server cannot do just now. None
// of it is a row's fault.
type serverState struct {
	exception
	reason string // as the log calls it
}

var serverStates = []serverState{
	{exception{252, "too many parts"}, "parts"},
	{exception{242, "table is in readonly mode"}, "readonly"},
	{exception{164, "cannot execute query in readonly mode"}, "readonly"},
	{exception{241, "memory limit exceeded"}, "memory"},
	{exception{159, "timeout exceeded"}, "timeout"},
	{exception{60, "unknown table"}, "schema"},
	{exception{999, "keeper exception"}, "server"},
	{exception{202, "too many simultaneous queries"}, "busy"},
	{exception{201, "quota exceeded"}, "busy"},
	{exception{243, "cannot reserve space, not enough space"}, "disk"},
	{exception{497, "not enough privileges"}, "access"},
	{exception{210, "connection refused by a shard"}, "connection"},

	{exception{100_000, "a code of years to come"}, "server"},
}

// loginStates are said instead of the server's hello.
var loginStates = []serverState{
	{exception{516, "authentication failed"}, "access"},
	{exception{194, "password required"}, "access"},
	{exception{202, "too many simultaneous queries"}, "busy"},
	{exception{81, "database does not exist"}, "schema"},
}

// Each state is said instead of ClickHouse, to one table or to every statement,
// until the loader waits; beacons go on meanwhile. What was committed although
// the answer says no is not inserted again.
func TestServerStatesCostNothing(t *testing.T) {
	t.Parallel()
	n := seed(t)
	r := newRemote(t, n)
	c := r.serve().ready()
	r.send(30, 4)
	rnd := chance(n, 20)
	tables := []string{"passalong.events", "passalong.lineage", ""}

	waits := func(name string, s serverState, lasting bool, rule func(statement) fault) {
		// The other stage may still be in the trouble before, and the log has one line
		// for each.
		c.until(name+": calm", func() bool { return c.state() != "waiting" })
		told, over := []string{"loading waits", "reason=" + s.reason, fmt.Sprintf("code=%d", s.code)}, []string{"loading goes on"}
		before, ended := c.log.count(told...), c.log.count(over...)
		r.proxy.set(rule)
		r.send(20, 4)
		c.until(name+": the log tells that loading waits", func() bool { return c.log.count(told...) > before })
		if lasting {
			if got := c.state(); got != "waiting" {
				t.Errorf("%s: the loader is %q while it lasts, want waiting", name, got)
			}
			if code, _, err := c.get("/readyz"); code != 200 {
				t.Errorf("%s: /readyz says %d %v; beacons are taken", name, code, err)
			}
		}
		r.send(20, 4)
		if hits := r.proxy.heal(); hits == 0 {
			t.Errorf("%s: nothing was hit: this shows nothing", name)
		}
		c.until(name+": loading goes on", func() bool { return c.log.count(over...) > ended })
	}
	for i, s := range serverStates[:at(t, 8, len(serverStates), len(serverStates))] {
		moments := []moment{before, during, after}
		if depth(t) == quick {
			moments = moments[i%3:][:1]
		}
		for _, m := range moments {
			table := tables[rnd.IntN(len(tables))]
			if m == during && table == "" {
				table = tables[0]
			}
			lasting := m != after || table == ""
			name := fmt.Sprintf("%d %s, %v %s", s.code, s.name, m, table)
			t.Log(name)
			waits(name, s, lasting, func(asked statement) fault {
				if asked.login || table != "" && !takes(asked, table) {
					return fault{}
				}
				return fault{at: m, end: refused, exception: s.exception}
			})
		}
	}
	for _, s := range loginStates[:at(t, 2, len(loginStates), len(loginStates))] {
		name := fmt.Sprintf("%d %s, at the login", s.code, s.name)
		t.Log(name)
		waits(name, s, true, func(asked statement) fault {
			if !asked.login {
				return fault{at: before, end: cut} // a connection of before
			}
			return fault{at: before, end: refused, exception: s.exception}
		})
	}
	r.check()
	if figures := c.figures(); figures["passalong_loader_quarantined_rows"] != 0 || figures["passalong_loader_retries_total"] == 0 {
		t.Errorf("%v rows in quarantine, %v retries", figures["passalong_loader_quarantined_rows"], figures["passalong_loader_retries_total"])
	}
	c.stop()
}

// A collector that starts while the server refuses it takes beacons and loads
// them once it is let in.
func TestAStartWhileTheServerRefuses(t *testing.T) {
	t.Parallel()
	r := newRemote(t, seed(t))
	for _, s := range loginStates[:at(t, 1, len(loginStates), len(loginStates))] {
		r.proxy.set(func(asked statement) fault {
			if asked.login {
				return fault{at: before, end: refused, exception: s.exception}
			}
			return fault{}
		})
		c := r.serve()
		r.send(30, 4)
		c.await("clickhouse is not ready")
		if got := c.state(); got != "waiting" {
			t.Errorf("%d: the loader is %q, want waiting", s.code, got)
		}
		r.proxy.heal()
		c.ready()
		r.check()
		c.stop()
	}
}
