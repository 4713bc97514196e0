package badger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// TestChangesDoNotWaitForATableWithoutEnd: Badger begins the table of a compaction again and
// again when the disk refuses it. So a compaction that looks alive bounds nobody's waiting: who
// publishes, and who asks for a file that is not there, hears soon that the store is not
// available. When the table is made at last, the store goes on.
// Seen to fail with compactions that are waited for as long as they show anything.
func TestChangesDoNotWaitForATableWithoutEnd(t *testing.T) {
	s := compactible(t, t.TempDir())
	defer mustClose(t, s)
	s.patience = 100 * time.Millisecond
	ledger := s.opened.ledger
	begin := func() {
		ledger.Hear("[%d] LOG Compact. Added %d keys. Skipped %d keys. Iteration took: %v", []any{1, uint64(1)})
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	tried := make(chan struct{})
	begin()
	flatten(t, s)
	go func() {
		defer close(tried)
		for tick := time.NewTicker(s.patience / 10); ctx.Err() == nil; <-tick.C {
			begin()
		}
	}()
	requests := map[string]func() error{
		"publishing": func() error { return publishNumbered(s, "p", 1) },
		"looking up": func() error { _, err := s.Lookup(t.Context(), numberedRef("p", 2)); return err },
	}
	results := make(chan error)
	const each = 8
	for what, request := range requests {
		for range each {
			go func() {
				err := request()
				if errors.Is(err, store.ErrUnavailable) {
					err = nil
				} else {
					err = errors.Join(errors.New(what), err)
				}
				results <- err
			}()
		}
	}
	for range each * len(requests) {
		select {
		case err := <-results:
			if err != nil {
				t.Errorf("got %v, want %v", err, store.ErrUnavailable)
			}
		case <-time.After(time.Minute):
			t.Fatal("a request waits for a minute, want an answer")
		}
	}
	end()
	<-tried
	_, at, err := ledger.Accounted()
	if err != nil {
		t.Fatal(err)
	}
	ledger.Accept(at) // the tables are made
	eventually(t, "the store goes on", func() bool { return publishNumbered(s, "p", 1) == nil })
}

// TestChangesDoNotWaitForRoomWithoutEnd: a database that takes nothing has changes refused, and
// takes them when it follows again.
// Seen to fail with a committer that waits without end.
func TestChangesDoNotWaitForRoomWithoutEnd(t *testing.T) {
	s, release := held(t, t.TempDir())
	defer mustClose(t, s)
	s.patience = 20 * time.Millisecond
	large := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), waiting.Timeout)
		defer cancel()
		return s.submit(ctx, batchWeight, func(b *batch) error {
			b.write([]byte("large"), make([]byte, transactionSize))
			return nil
		})
	}
	var err error
	for i := 0; err == nil && i < 2*maxAhead/transactionSize; i++ {
		err = large()
	}
	if !errors.Is(err, errSlow) {
		t.Fatalf("a change behind a database that takes nothing: got %v, want %v", err, errSlow)
	}
	if err := large(); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the next change: got %v, want %v", err, store.ErrUnavailable)
	}
	release(nil)
	eventually(t, "changes are taken again", func() bool { return large() == nil })
}
