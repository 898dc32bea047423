package store_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/passalong/passalong/collector/engine"
	"github.com/passalong/passalong/collector/engine/enginetest"
	"github.com/passalong/passalong/collector/store"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

func open(t testing.TB, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func execAll(t testing.TB, db *store.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := db.Conn().Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ name, dsn string }{
		{"no scheme", "user:hunter2@host:9000/passalong"},
		{"another database", "postgres://user:hunter2@host/passalong"},
		{"not a URL", "clickhouse://user:hunter2@host:port/passalong"},
		{"a stray percent", "clickhouse://user:hunter2%@host:9000/passalong"},
		{"no host", "clickhouse:///passalong"},
		{"a bad option", "clickhouse://user:hunter2@host:9000/passalong?dial_timeout=soon"},
		{"empty", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := store.Open(c.dsn)
			if err == nil {
				db.Close()
				t.Fatal("opened")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
			if !strings.HasPrefix(err.Error(), "dsn: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}

// TestWaitCreatesTheDatabase: on a new server nobody has, and nobody can log in
// to one that is not there.
func TestWaitCreatesTheDatabase(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	db := open(t, e.DSN())
	execAll(t, db, "DROP DATABASE passalong SYNC")
	again := open(t, e.DSN())
	if err := again.Conn().Ping(t.Context()); err == nil {
		t.Fatal("logged in to a database that is gone")
	}
	if err := again.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	execAll(t, again, "CREATE TABLE here (n UInt8) ENGINE = Memory", "INSERT INTO passalong.here VALUES (1)")
}

func TestWait(t *testing.T) {
	e := enginetest.Start(t)
	_, address, _ := strings.Cut(e.DSN(), "@")

	began := time.Now()
	err := open(t, "clickhouse://collector:guess@"+address).Wait(t.Context())
	if err == nil || !strings.Contains(err.Error(), "password is wrong") || time.Since(began) > 5*time.Second {
		t.Errorf("wrong password: %v after %v, want a refusal at once", err, time.Since(began))
	}

	// Nobody there yet.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = open(t, "clickhouse://collector:x@"+free+"/passalong").Wait(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}

	// Somebody comes while it waits.
	late := make(chan error, 1)
	go func() {
		db, err := store.Open("clickhouse://reader:known@" + free + "/passalong")
		if err == nil {
			defer db.Close()
			err = db.Wait(t.Context())
		}
		late <- err
	}()
	enginetest.New(t, engine.Options{TCP: free, ReaderPassword: "known"})
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// TestPoolHeals: connections made before a restart of the engine do no harm
// after it.
func TestPoolHeals(t *testing.T) {
	e := enginetest.New(t, engine.Options{})
	db := open(t, e.DSN())
	if err := db.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := kill(e.PID()); err != nil {
		t.Fatal(err)
	}
	for e.Generation() != 2 {
		time.Sleep(5 * time.Millisecond)
	}
	if err := db.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n uint8
	if err := db.Conn().QueryRow(t.Context(), "SELECT 7").Scan(&n); err != nil || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPlain(t *testing.T) {
	inner := &clickhouse.Exception{Code: 47, Message: "DB::Exception: Unknown expression identifier `nope` in scope SELECT nope: In scope SELECT formatRow('TSV', *) FROM (SELECT nope). (version 26.7.2.1 (official build))"}
	err := store.Plain(fmt.Errorf("layer: %w", inner))
	if want := "Unknown expression identifier `nope` in scope SELECT nope (code 47)"; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if x, ok := errors.AsType[*clickhouse.Exception](err); !ok || x.Code != 47 {
		t.Error("the exception is lost")
	}
	if store.Plain(nil) != nil || !errors.Is(store.Plain(context.Canceled), context.Canceled) {
		t.Error("other errors do not stay as they are")
	}
}
