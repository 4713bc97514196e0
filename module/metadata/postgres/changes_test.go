//go:build servers

package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/changes"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/postgres/migrations"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// held is a store that keeps its changes.
func held(t *testing.T, b *Backend) *Store {
	t.Helper()
	s := opened(t, b)
	if _, err := s.Bookmarks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.HoldChanges(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	return s
}

// tells are the next changes as texts, from a follower that there are some for.
func tells(t *testing.T, follower store.Follower) (texts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	next, err := follower.Next(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range next {
		texts = append(texts, fmt.Sprintf("%d %s/%s", change.Sequence, change.Owner, change.File))
	}
	return texts
}

// TestAChangeThatIsCommittedLate gets a number behind those that were told, and nobody waits for
// it. Seen to fail with numbers that are given when changes are added: the late one is never
// told; and with followers that wait for all transactions that began before.
func TestAChangeThatIsCommittedLate(t *testing.T) {
	b := newBackend(t)
	s := held(t, b)
	follower := s.Follow(0)
	late, err := connection(t, b).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	line := changes.Line(store.PublishChange(publication(s, "late", "f").Ref, store.File{}))
	var outcome string
	if err := late.QueryRow(t.Context(), migrations.Named(b.Schema).SQL(`SELECT {s}.told_5('done', true, $1, NULL, NULL)`), line).Scan(&outcome); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Publish(t.Context(), publication(s, "early", "f")); err != nil {
		t.Fatal(err)
	}
	if got := tells(t, follower); fmt.Sprint(got) != "[1 early/f]" {
		t.Errorf("while a transaction is open, %q is told, want 1 early/f", got)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tells(t, follower); fmt.Sprint(got) != "[2 late/f]" {
		t.Errorf("after its commit, %q is told, want 2 late/f", got)
	}
}

// TestChangesOfAnOwnerWhoseTransactionsBeganInAnotherOrder are told in the order in which they
// were made. Seen to fail with numbers in the order of the transactions.
func TestChangesOfAnOwnerWhoseTransactionsBeganInAnotherOrder(t *testing.T) {
	b := newBackend(t)
	s := held(t, b)
	sql := migrations.Named(b.Schema).SQL
	older, err := connection(t, b).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := older.Exec(t.Context(), `SELECT pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	first := publication(s, "o", "first")
	if _, _, err := s.Publish(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := first.Ref
	second.File = "second"
	for _, statement := range []string{`SELECT 1 FROM {s}.owner WHERE key = 'o' FOR UPDATE`, `SELECT {s}.told_5('done', true, $1, NULL, NULL)`} {
		var args []any
		if statement[len(statement)-1] == ')' {
			args = append(args, changes.Line(store.PublishChange(second, store.File{})))
		}
		if _, err := older.Exec(t.Context(), sql(statement), args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := older.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tells(t, s.Follow(0)); fmt.Sprint(got) != "[1 o/first 2 o/second]" {
		t.Errorf("%q is told, want first and second", got)
	}
}

// TestWhatIsNotMadeIsNotTold: refusals, publishes that were made before, the same bytes again,
// and a draft that is published twice. What is told and what is made are one transaction. Seen to
// fail with a change that is told whenever the outcome is done, and with one that is added in a
// transaction of its own.
func TestWhatIsNotMadeIsNotTold(t *testing.T) {
	b := newBackend(t)
	s := held(t, b)
	ctx := t.Context()
	p := publication(s, "o", "f")
	for i := range 2 { // the second is the same one, as after an answer that was lost
		if _, _, err := s.Publish(ctx, p); err != nil {
			t.Fatalf("publish %d: %v", i, err)
		}
	}
	again := publication(s, "o", "f")
	again.Digest, again.OnDuplicate = p.Digest, store.Same
	if _, _, err := s.Publish(ctx, again); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Publish(ctx, publication(s, "o", "f")); err == nil {
		t.Error("another file of the name is published")
	}
	draft := publication(s, "o", "g")
	draft.Ref.Version, draft.Draft = "draft", true
	if _, _, err := s.Publish(ctx, draft); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.PublishDraft(ctx, draft.Ref.VersionRef, nil, store.Act{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteVersion(ctx, store.VersionRef{Owner: "o", Package: "none", Version: "1"}, store.Act{}); err == nil {
		t.Error("a version is deleted that is not there")
	}
	// Until they are numbered, rows have the transaction that added them.
	var together int
	err := connection(t, b).QueryRow(ctx, migrations.Named(b.Schema).SQL(`SELECT count(*) FILTER (WHERE c.made = f.xmin::text::bigint)
		FROM (SELECT file, xmin::text::bigint AS made FROM {s}.change) c JOIN {s}.file f ON f.id = c.file`)).Scan(&together)
	if err != nil || together != 2 {
		t.Errorf("%d changes are of the transaction of their file, want 2: %v", together, err)
	}
	if got := tells(t, s.Follow(0)); fmt.Sprint(got) != "[1 o/f 2 o/g 3 o/]" {
		t.Errorf("%q is told, want f, g and the version of the draft", got)
	}
}

// TestNothingIsKeptThatNobodyNeeds: without a hold a publish adds no row, and those that were
// told go. Seen to fail with changes that are added without a hold, and with a hold that deletes
// nothing.
func TestNothingIsKeptThatNobodyNeeds(t *testing.T) {
	b := newBackend(t)
	s, conn := opened(t, b), connection(t, b)
	publish := func(file string) {
		t.Helper()
		if _, _, err := s.Publish(t.Context(), publication(s, "o", file)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, want int) {
		t.Helper()
		if got := rowsOf(t, conn, b); got != want {
			t.Errorf("%s there are %d rows, want %d", when, got, want)
		}
	}
	publish("a")
	want("before a hold", 0)
	if _, err := s.Bookmarks(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := func(after uint64) {
		t.Helper()
		if err := s.HoldChanges(t.Context(), after); err != nil {
			t.Fatal(err)
		}
	}
	hold(0)
	for _, file := range []string{"b", "c", "d"} {
		publish(file)
	}
	want("with a hold", 3)
	tells(t, s.Follow(0))
	hold(2)
	want("held after the second", 1)
	publish("e")
	hold(store.NoHold)
	publish("f")
	want("without a hold", 0)
}

func rowsOf(t *testing.T, conn *pgx.Conn, b *Backend) (rows int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), migrations.Named(b.Schema).SQL(`SELECT count(*) FROM {s}.change`)).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}
