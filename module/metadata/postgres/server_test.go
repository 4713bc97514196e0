//go:build servers

package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestManyOpeningsAtOnce: of 16 processes that open an empty schema one makes the tables.
// Seen to fail without the advisory lock.
func TestManyOpeningsAtOnce(t *testing.T) {
	b := newBackend(t)
	ids := make([]string, 16)
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			s, err := b.OpenMetadata(context.Background(), "", quiet)
			if errs[i] = err; err == nil {
				ids[i] = s.ID()
				errs[i] = s.Close()
			}
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil || ids[i] != ids[0] || ids[i] == "" {
			t.Errorf("opening %d has the ID %q, the first has %q: %v", i, ids[i], ids[0], err)
		}
	}
}

// TestTwoProcesses: what one has acknowledged the other one finds, and they decide as one.
func TestTwoProcesses(t *testing.T) {
	b := newBackend(t)
	both := []*Store{opened(t, b), opened(t, b)}
	const clients, fit = 16, 5
	var all sync.WaitGroup
	var won, taken atomic.Int32
	for i := range clients {
		s := both[i%2]
		all.Go(func() {
			p := publication(s, "o", "f")
			if _, _, err := s.Publish(context.Background(), p); err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrExists) {
				t.Errorf("publishing: %v", err)
			}
		})
		all.Go(func() {
			p := publication(s, "q", fmt.Sprint(i))
			p.Quota.Files = fit
			if _, _, err := s.Publish(context.Background(), p); err == nil {
				taken.Add(1)
			} else if !errors.Is(err, store.ErrQuotaFiles) {
				t.Errorf("publishing: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || taken.Load() != fit {
		t.Errorf("%d won, want 1; %d fit, want %d", won.Load(), taken.Load(), fit)
	}
	if _, _, err := both[0].Publish(t.Context(), publication(both[0], "r", "f")); err != nil {
		t.Fatal(err)
	}
	ref := publication(both[0], "r", "f").Ref
	if _, err := both[1].Lookup(t.Context(), ref); err != nil {
		t.Errorf("the other one: %v", err)
	}
	if err := both[1].DeleteVersion(t.Context(), ref.VersionRef, store.Act{}); err != nil {
		t.Error(err)
	}
	if _, err := both[0].Lookup(t.Context(), ref); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("what the other one deleted: %v", err)
	}
	if err := both[0].BindBlobs(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := both[1].BindBlobs(t.Context(), "one"); err != nil {
		t.Error(err)
	}
	if err := both[1].BindBlobs(t.Context(), "two"); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("other blobs: %v", err)
	}
	wantWhole(t, both[0])
}

// TestCountingLocksInOrder: one process changes an owner and counts downloads of an earlier one
// in one transaction, another one changes both. Neither waits for the other until the server ends
// a transaction. Seen to fail with owners of downloads that are locked when they are counted.
func TestCountingLocksInOrder(t *testing.T) {
	b := newBackend(t)
	counting, other := opened(t, b), opened(t, b)
	file, _, err := counting.Publish(t.Context(), publication(counting, "a", "f"))
	if err != nil {
		t.Fatal(err)
	}
	publishes := func(s *Store, owner, name string) func(int) error {
		return func(i int) error {
			_, _, err := s.Publish(context.Background(), publication(s, owner, fmt.Sprint(name, i)))
			return err
		}
	}
	before := strings.Count(server.Log(), "deadlock detected")
	const rounds = 150
	var all sync.WaitGroup
	for _, change := range []func(i int) error{
		publishes(counting, "b", "x"), publishes(other, "a", "y"), publishes(other, "b", "z"),
		func(i int) error {
			return counting.AddDownloads(context.Background(), []store.Download{{Ref: file.Ref, ID: file.ID, Count: 1, Last: time.Unix(int64(i), 0)}})
		},
	} {
		all.Go(func() {
			for i := range rounds {
				if err := change(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if found, err := other.Lookup(t.Context(), file.Ref); err != nil || found.Downloads != rounds {
		t.Errorf("%d downloads, %v; want %d", found.Downloads, err, rounds)
	}
	if ended := strings.Count(server.Log(), "deadlock detected") - before; ended > 0 {
		t.Errorf("the server ended %d transactions that waited for each other", ended)
	}
}

// TestConfigurationsThatCannotBe: each is a fault of the configuration that says what to do.
func TestConfigurationsThatCannotBe(t *testing.T) {
	admin := provisioned(t, &Backend{DSN: server.Socket("postgres")})
	conn := connection(t, admin)
	for _, sql := range []string{
		"CREATE USER forgetful", "ALTER USER forgetful SET synchronous_commit = off", "CREATE USER weak",
		"CREATE DATABASE latin ENCODING 'SQL_ASCII' TEMPLATE template0",
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	newer := newBackend(t)
	opened(t, newer)
	if _, err := conn.Exec(t.Context(), migrations.Named(newer.Schema).SQL("UPDATE {s}.store SET schema = 9, least = 9")); err != nil {
		t.Fatal(err)
	}
	as := func(user string) string {
		return strings.Replace(server.Socket("postgres"), "user=postgres", "user="+user, 1)
	}
	for name, test := range map[string]struct {
		b     Backend
		fault error
		text  string
	}{
		"a wrong password":          {Backend{DSN: server.TCP("postgres", false), Password: "wrong"}, store.ErrRefused, "password authentication failed"},
		"no password":               {Backend{DSN: server.TCP("postgres", false)}, store.ErrRefused, ""},
		"no such database":          {Backend{DSN: server.Socket("nothing")}, store.ErrRefused, "does not exist"},
		"no right to make a schema": {Backend{DSN: as("weak"), Schema: server.NewName()}, store.ErrRefused, "permission denied"},
		"synchronous_commit is off": {Backend{DSN: as("forgetful"), Schema: server.NewName()}, store.ErrRefused, "synchronous_commit is off"},
		"another encoding":          {Backend{DSN: server.Socket("latin")}, store.ErrRefused, "the encoding SQL_ASCII"},
		"tables of a newer release": {*newer, store.ErrFormat, "run a newer one"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := provisioned(t, &test.b).OpenMetadata(t.Context(), "", quiet)
			if !errors.Is(err, test.fault) || store.IsState(err) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the error is %v, want %v with %q", err, test.fault, test.text)
			}
			if err != nil && strings.Contains(err.Error(), "wrong") && test.b.Password == "wrong" {
				t.Errorf("the error %q has the password", err)
			}
		})
	}
}

// newServer starts a server for one test.
func newServer(t *testing.T) *postgrestest.Server {
	t.Helper()
	own, err := postgrestest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Remove(); err != nil {
			t.Error(err)
		}
	})
	return own
}

// TestAServerThatForgets is refused when the store is opened, and when it takes the place of
// one that does not. A server that does not answer is a fault of the state.
func TestAServerThatForgets(t *testing.T) {
	own := newServer(t)
	b := provisioned(t, &Backend{DSN: own.Socket("postgres"), Connections: 4})
	s := opened(t, b)
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "f")); err != nil {
		t.Fatal(err)
	}
	restart := func(settings ...string) {
		t.Helper()
		if err := own.Stop("immediate"); err != nil {
			t.Fatal(err)
		}
		if err := own.Start(settings...); err != nil {
			t.Fatal(err)
		}
	}
	restart("fsync=off")
	waitFor(t, "the server to be refused", func() bool {
		fault := s.Condition().Fault
		return fault != nil && strings.Contains(fault.Error(), "fsync off")
	})
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "g")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a publish gets %v", err)
	}
	if _, err := b.OpenMetadata(t.Context(), "", quiet); !errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "set fsync = on") {
		t.Errorf("an opening gets %v", err)
	}
	restart()
	waitFor(t, "the server to be taken", func() bool { return s.Condition().Fault == nil })
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "g")); err != nil {
		t.Error(err)
	}
	if err := own.Stop("fast"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenMetadata(t.Context(), "", quiet); !errors.Is(err, store.ErrUnavailable) || !store.IsState(err) {
		t.Errorf("an opening without a server gets %v", err)
	}
	if err := own.Start(); err != nil {
		t.Fatal(err)
	}
}

// TestAServerThatDies: its first process is killed, and it is stopped at once, under
// publishes and deletes. What was acknowledged is there, what was refused is not, what failed
// is unavailable, and nobody waits for long.
func TestAServerThatDies(t *testing.T) {
	own := newServer(t)
	s := opened(t, provisioned(t, &Backend{DSN: own.Socket("postgres"), Connections: 4}))
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var failed, acknowledged atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				p := publication(s, fmt.Sprint("o", i%3), fmt.Sprint(i, "-", n))
				_, _, err := s.Publish(context.Background(), p)
				if err != nil && !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("publishing: %v", err)
				}
				if err != nil {
					failed.Add(1)
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
					}
					waitUntilUp(s, stop)
				}
				found, lookup := s.Lookup(context.Background(), p.Ref)
				if errors.Is(lookup, store.ErrUnavailable) {
					continue
				}
				if there := lookup == nil && found.Locator == p.Locator; there != (err == nil) {
					t.Errorf("%v: published %v, looked up %v", p.Ref, err, lookup)
				}
				acknowledged.Add(1)
			}
		})
	}
	for range 3 {
		at := acknowledged.Load()
		waitFor(t, "publishes", func() bool { return acknowledged.Load() > at+100 })
		if err := own.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the others to end", func() bool { return own.Start() == nil })
		at = acknowledged.Load()
		waitFor(t, "publishes", func() bool { return acknowledged.Load() > at+100 })
		if err := own.Stop("immediate"); err != nil {
			t.Fatal(err)
		}
		if err := own.Start(); err != nil {
			t.Fatal(err)
		}
	}
	at := acknowledged.Load()
	waitFor(t, "publishes", func() bool { return acknowledged.Load() > at+100 })
	close(stop)
	clients.Wait()
	t.Logf("%d acknowledged and looked up, %d failed", acknowledged.Load(), failed.Load())
	wantWhole(t, s)
}

func waitUntilUp(s *Store, stop chan struct{}) {
	for s.Condition().Fault != nil {
		select {
		case <-stop:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestAFrozenServer: calls end with ErrUnavailable, and then at once, until it goes on.
func TestAFrozenServer(t *testing.T) {
	own := newServer(t)
	s, proxy := behindProxy(t, own)
	file, _, err := s.Publish(t.Context(), publication(s, "o", "f"))
	if err != nil {
		t.Fatal(err)
	}
	proxy.freeze()
	waitFor(t, "the server to be missed", func() bool { return s.Condition().Fault != nil })
	if _, err := s.Lookup(t.Context(), file.Ref); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a look-up gets %v", err)
	}
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "g")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a publish gets %v", err)
	}
	proxy.thaw()
	waitFor(t, "the server to answer", func() bool { return s.Condition().Fault == nil })
	if _, err := s.Lookup(t.Context(), file.Ref); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "g")); err != nil {
		t.Error(err)
	}
}

// TestASilentFirstHost: the second host of the connection string takes changes while the first
// one accepts connections and says nothing, as a machine that lost its network does. Seen to fail
// with a time for all hosts that the first one uses up: the server is missed for ever. And with
// connections that are kept: the look-up or the publish waits for the first host.
func TestASilentFirstHost(t *testing.T) {
	first, second := newProxy(t, server.Port), newProxy(t, server.Port)
	dsn := fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable", first.port(), second.port())
	s := opened(t, provisioned(t, &Backend{DSN: dsn, Password: postgrestest.Password, Schema: server.NewName(), Connections: 4}))
	file, _, err := s.Publish(t.Context(), publication(s, "o", "f"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), file.Ref); err != nil {
		t.Fatal(err)
	}
	first.freeze()
	t.Cleanup(first.thaw)
	waitFor(t, "the first host to be missed", func() bool { return s.Condition().Fault != nil })
	waitFor(t, "the second host to be found", func() bool { return s.Condition().Fault == nil })
	waitFor(t, "word that it may be another server", func() bool { return len(s.Reconnected()) == 1 })
	if _, err := s.Lookup(t.Context(), file.Ref); err != nil {
		t.Errorf("a look-up gets %v", err)
	}
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "g")); err != nil {
		t.Errorf("a publish gets %v", err)
	}
}

// TestANodeLeavesASlowServer: a node that ends tells the others so, also where the server takes
// three seconds for that. Seen to fail with a node that waits for two: its row stays, and a copy
// of the registry takes it for one that still publishes.
func TestANodeLeavesASlowServer(t *testing.T) {
	b := newBackend(t)
	leaving, staying := opened(t, b), opened(t, b)
	if _, _, err := leaving.Meet(t.Context(), "leaving", ""); err != nil {
		t.Fatal(err)
	}
	conn := connection(t, b)
	slow, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), migrations.Named(b.Schema).SQL("SELECT FROM {s}.live FOR UPDATE")); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- leaving.Close() }()
	watching := connection(t, b)
	waitFor(t, "the server to take three seconds", func() (is bool) {
		err := watching.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
			AND starts_with(query, $1) AND query_start < now() - interval '3 seconds')`, migrations.Named(b.Schema).SQL("DELETE FROM {s}.live")).Scan(&is)
		return err == nil && is
	})
	if err := slow.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if nodes, err := staying.Present(t.Context()); err != nil || len(nodes) > 0 {
		t.Errorf("the nodes are %+v, %v; want none", nodes, err)
	}
}

// TestTheRowOfAProcess: a process whose row is gone makes a new one.
func TestTheRowOfAProcess(t *testing.T) {
	b := newBackend(t)
	s := opened(t, b)
	for _, file := range []string{"f", "g"} {
		if _, _, err := s.Publish(t.Context(), publication(s, "o", file)); err != nil {
			t.Fatal(err)
		}
		if err := s.db.Write(t.Context(), `DELETE FROM {s}.node`); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherSettings: a store takes changes over other connections after a reload.
func TestOtherSettings(t *testing.T) {
	b := newBackend(t)
	s := opened(t, b)
	if err := provisioned(t, &Backend{DSN: b.DSN, Schema: b.Schema, Connections: 2}).AdjustMetadata(s); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "f")); err != nil {
		t.Error(err)
	}
}
