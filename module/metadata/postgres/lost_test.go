//go:build servers

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/postgrestest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// behindProxy opens a store through a proxy.
func behindProxy(t *testing.T, of *postgrestest.Server) (*Store, *proxy) {
	t.Helper()
	p := newProxy(t, of.Port)
	return through(t, p, of.NewName()), p
}

// through opens a store of a schema through a proxy.
func through(t *testing.T, p *proxy, schema string) *Store {
	t.Helper()
	dsn := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", p.port())
	return opened(t, provisioned(t, &Backend{DSN: dsn, Password: postgrestest.Password, Schema: schema, Connections: 4}))
}

func opened(t *testing.T, b *Backend) *Store {
	t.Helper()
	s, err := b.OpenMetadata(t.Context(), "", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*Store)
}

var made atomic.Int64

// publication is one of fresh bytes that were stored just now.
func publication(s *Store, owner, file string) store.Publication {
	content := fmt.Sprint(made.Add(1))
	var digest store.Digest
	copy(digest[:], fmt.Sprintf("%32s", content))
	return store.Publication{
		Ref:  store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: "p", Version: "1"}, File: file},
		Blob: store.Blob{Locator: store.NewLocator(1), Digest: digest, Size: 1}, Stored: s.Clock(), Creator: "alice", Created: time.Unix(1, 0).UTC(),
	}
}

// wantWhole holds that the records fit together.
func wantWhole(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Check(context.Background(), func(problem string) { t.Error(problem) }); err != nil {
		t.Error(err)
	}
}

// TestLostCommits: a connection is lost while a change is committed. Whether the server made
// it or not, the change is made once, and its client hears so. Seen to fail with a
// findOutcome that takes every commit for undone: the publish is refused as one that exists.
func TestLostCommits(t *testing.T) {
	s, p := behindProxy(t, server)
	for name, how := range map[string]cut{"before the server has it": cutBefore, "after the server made it": cutAfter} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			first := publication(s, "o", name)
			p.cutNext(how)
			file, condemned, err := s.Publish(ctx, first)
			if err != nil || condemned || file.Locator != first.Locator {
				t.Fatalf("published %+v, condemned %v: %v", file, condemned, err)
			}
			<-p.cuts
			if found, err := s.Lookup(ctx, first.Ref); err != nil || found != file {
				t.Errorf("found %+v, %v; published %+v", found, err, file)
			}
			if usage, err := s.Usage(ctx, "o"); err != nil || usage != (store.Usage{Bytes: 1, Files: 1, Versions: 1}) {
				t.Errorf("the usage is %+v, %v", usage, err)
			}
			p.cutNext(how)
			if err := s.AddDownloads(ctx, []store.Download{{Ref: file.Ref, ID: file.ID, Count: 3, Last: time.Unix(5, 0)}}); err != nil {
				t.Fatal(err)
			}
			<-p.cuts
			if found, err := s.Lookup(ctx, first.Ref); err != nil || found.Downloads != 3 {
				t.Errorf("%d downloads, want 3: %v", found.Downloads, err)
			}
			p.cutNext(how)
			if err := s.DeleteFile(ctx, first.Ref, store.Act{}); err != nil {
				t.Fatal(err)
			}
			<-p.cuts
			wantWhole(t, s)
		})
	}
}

// TestANodeVanishesInATransaction: before COMMIT reaches the server, which still has the
// connection. Another node changes the same owner within the time that a change may take. The
// first node hears that the server gave its transaction up, and makes the change again. Seen to
// fail with locks that a silent node keeps for a minute, and with 25P03 as an error of no kind.
func TestANodeVanishesInATransaction(t *testing.T) {
	b, p := newBackend(t), newProxy(t, server.Port)
	vanishing, other := through(t, p, b.Schema), opened(t, b)
	before := publication(vanishing, "o", "before")
	if _, _, err := vanishing.Publish(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	p.cutNext(withhold)
	cut := publication(vanishing, "o", "f")
	done := make(chan error, 1)
	go func() {
		_, _, err := vanishing.Publish(context.Background(), cut)
		done <- err
	}()
	<-p.cuts
	within, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, _, err := other.Publish(within, publication(other, "o", "g")); err != nil {
		t.Errorf("another node: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("the node that vanished: %v", err)
	}
	wantWhole(t, other)
}

// TestACommitInProgress: the server still waits for a standby when the connection is lost.
// Nobody hears of the publish before that is over. Seen to fail with a ticket that is read
// without waiting for the transaction that writes it: the publish is made again, and refused.
// And with connections that ask the server to cancel: it commits without the standby.
func TestACommitInProgress(t *testing.T) {
	own, err := postgrestest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Remove(); err != nil {
			t.Error(err)
		}
	})
	s, p := behindProxy(t, own)
	if _, _, err := s.Publish(t.Context(), publication(s, "o", "before")); err != nil {
		t.Fatal(err)
	}
	setStandby(t, own, "nobody")
	p.cutNext(cutMeantime)
	publishing := publication(s, "o", "f")
	done := make(chan error, 1)
	go func() {
		_, _, err := s.Publish(context.Background(), publishing)
		done <- err
	}()
	<-p.cuts
	waitFor(t, "no changes to be taken", func() bool { return s.Admit(t.Context()) != nil })
	if condition := s.Condition(); condition.Fault == nil || !condition.Readable {
		t.Errorf("the condition is %+v", condition)
	}
	watching := connection(t, provisioned(t, &Backend{DSN: own.Socket("postgres")}))
	waitFor(t, "the commit to wait for the standby, and us for the commit", func() (both bool) {
		err := watching.QueryRow(t.Context(), `SELECT bool_or(wait_event = 'SyncRep' AND query = 'commit') AND bool_or(wait_event_type = 'Lock')
			FROM pg_stat_activity WHERE wait_event IS NOT NULL`).Scan(&both)
		return err == nil && both
	})
	select {
	case err := <-done:
		t.Fatalf("the publish has ended with %v while the server commits it", err)
	default:
	}
	setStandby(t, own, "")
	if err := <-done; err != nil {
		t.Fatalf("publishing: %v", err)
	}
	if found, err := s.Lookup(t.Context(), publishing.Ref); err != nil || found.Locator != publishing.Locator {
		t.Errorf("found %+v, %v", found, err)
	}
	waitFor(t, "changes to be taken", func() bool { return s.Admit(t.Context()) == nil })
	wantWhole(t, s)
}

// TestReadsWhileWritesWaitForAStandby: writes that wait leave connections to reads, however many
// they are. Seen to fail with writes that may have all connections.
func TestReadsWhileWritesWaitForAStandby(t *testing.T) {
	own := newServer(t)
	s := opened(t, provisioned(t, &Backend{DSN: own.Socket("postgres"), Connections: 4}))
	file, _, err := s.Publish(t.Context(), publication(s, "o", "f"))
	if err != nil {
		t.Fatal(err)
	}
	setStandby(t, own, "nobody")
	ctx, cancel := context.WithCancel(t.Context())
	var writes sync.WaitGroup
	for range 8 {
		writes.Go(func() { _, _ = s.TakeTurn(ctx, store.NewSessionID(), time.Now().Add(time.Hour)) })
	}
	watching := connection(t, provisioned(t, &Backend{DSN: own.Socket("postgres")}))
	waitFor(t, "a write to wait for the standby", func() (is bool) {
		err := watching.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%turn%')`).Scan(&is)
		return err == nil && is
	})
	for range 20 {
		if _, err := s.Lookup(t.Context(), file.Ref); err != nil {
			t.Fatalf("a look-up gets %v", err)
		}
	}
	cancel()
	writes.Wait()
	setStandby(t, own, "")
}

// setStandby has commits wait for a standby of a name.
func setStandby(t *testing.T, of *postgrestest.Server, name string) {
	t.Helper()
	b := provisioned(t, &Backend{DSN: of.Socket("postgres")})
	if err := of.AwaitStandby(name); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "commits to wait, or not", func() bool {
		trying := connection(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := trying.Exec(ctx, "CREATE TABLE "+of.NewName()+" ()")
		return (err != nil) == (name != "")
	})
}

// waitFor waits until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}
