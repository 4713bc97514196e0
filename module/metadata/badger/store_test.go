package badger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func mustOpen(t testing.TB, root string) *Store {
	t.Helper()
	metadata, err := (&Backend{Reserve: smallestReserve}).OpenMetadata(context.Background(), root, discard)
	if err != nil {
		t.Fatal(err)
	}
	return metadata.(*Store)
}

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func publishNumbered(s *Store, owner string, i int) error {
	if err := s.Admit(context.Background()); err != nil {
		return err
	}
	_, _, err := s.Publish(context.Background(), publicationOf(numberedRef(owner, i), byte(i), byte(i>>8), byte(i>>16)))
	return err
}

// publicationOf is of one byte that was stored just now. Its digest begins as told.
func publicationOf(ref store.Ref, digest ...byte) store.Publication {
	p := store.Publication{Ref: ref, Stored: time.Now(), Creator: "c", Created: time.Unix(1, 0)}
	p.Locator, p.Size = store.NewLocator(1), 1
	copy(p.Digest[:], digest)
	return p
}

// TestFaultsOfOpening was seen to fail with a database that is ahead of its journal and is taken.
// Seen to fail with a database that is ahead of its journal and is taken.
func TestFaultsOfOpening(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, root string)
		reserve int64
		want    error
		says    string
		state   bool
	}{
		{
			name:    "a newer layout",
			prepare: func(t *testing.T, root string) { writeFile(t, root, "FORMAT", layout+" 99\n") },
			want:    store.ErrFormat, says: "version 99",
		},
		{
			name:    "the layout of an earlier build",
			prepare: func(t *testing.T, root string) { writeFile(t, root, "FORMAT", layout+" 3\n") },
			want:    store.ErrFormat, says: "this release reads version 9 only",
		},
		{
			name:    "another layout",
			prepare: func(t *testing.T, root string) { writeFile(t, root, "FORMAT", "something else 1\n") },
			want:    store.ErrFormat, says: "not such a store",
		},
		{
			name:    "a directory with other files",
			prepare: func(t *testing.T, root string) { writeFile(t, root, "letter.txt", "dear") },
			want:    store.ErrFormat, says: "letter.txt",
		},
		{
			name: "a store that is open",
			prepare: func(t *testing.T, root string) {
				s := mustOpen(t, root)
				t.Cleanup(func() { mustClose(t, s) })
			},
			want: store.ErrLocked, says: "give each its own root",
		},
		{
			name:    "less room than the reserve",
			reserve: 1 << 61,
			want:    store.ErrNoSpace, says: "reserve", state: true,
		},
		{
			name: "a database whose journal is missing",
			prepare: func(t *testing.T, root string) {
				mustClose(t, publishedStore(t, root, 3))
				if err := os.RemoveAll(filepath.Join(root, "metadata", "journal")); err != nil {
					t.Fatal(err)
				}
			},
			want: store.ErrDamaged, says: "rebuild --journal", state: true,
		},
		{
			name: "a journal that ends before the database",
			prepare: func(t *testing.T, root string) {
				mustClose(t, publishedStore(t, root, 3))
				cutLastLine(t, root)
			},
			want: store.ErrDamaged, says: "the database has 3 changes and the journal 2", state: true,
		},
		{
			name: "a journal of another store",
			prepare: func(t *testing.T, root string) {
				mustClose(t, publishedStore(t, root, 3))
				other := t.TempDir()
				mustClose(t, publishedStore(t, other, 3))
				swapJournal(t, root, other)
			},
			want: store.ErrDamaged, says: "of another store", state: true,
		},
		{
			name: "a damaged database and a damaged journal",
			prepare: func(t *testing.T, root string) {
				mustClose(t, publishedStore(t, root, 3))
				writeFile(t, root, "MANIFEST", "nonsense")
				changeLine(t, root, 2)
			},
			want: store.ErrDamaged, says: "restore a backup", state: true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if test.prepare != nil {
				test.prepare(t, root)
			}
			metadata, err := (&Backend{Reserve: max(test.reserve, smallestReserve)}).OpenMetadata(t.Context(), root, discard)
			if err == nil {
				t.Fatal(metadata.Close())
			}
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %v that says %q", err, test.want, test.says)
			}
			if store.IsState(err) != test.state {
				t.Errorf("a fault of the state: %v", !test.state)
			}
		})
	}
}

func writeFile(t *testing.T, root, name, text string) {
	t.Helper()
	dir := filepath.Join(root, "metadata")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingOperationsShareABatch(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	var mu sync.Mutex
	batches := make(map[*layer]int)
	held, release := make(chan struct{}), make(chan struct{})
	count := func(b *batch) error {
		mu.Lock()
		defer mu.Unlock()
		batches[b.layer]++
		return nil
	}
	var clients sync.WaitGroup
	clients.Go(func() {
		_ = s.submit(context.Background(), 1, func(b *batch) error {
			close(held)
			<-release
			return count(b)
		})
	})
	<-held
	const waiting = 20
	for range waiting {
		clients.Go(func() {
			if err := s.submit(context.Background(), batchWeight/10, count); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all of them wait", func() bool { return s.rounds.Waiting() == waiting })
	close(release)
	clients.Wait()
	if len(batches) != 3 { // the one held, ten, ten
		t.Errorf("%d batches for %d operations: %v", len(batches), waiting+1, batches)
	}
}

// stuckDisk refuses, on demand, to make names durable.
type stuckDisk struct {
	disk.OS
	stuck atomic.Bool
}

func (d *stuckDisk) SyncDirectory(name string) error {
	if d.stuck.Load() {
		return errDisk
	}
	return d.OS.SyncDirectory(name)
}

func TestAfterAFailedCommitNothingIsPromised(t *testing.T) {
	fsys := new(stuckDisk)
	s, err := open(t.Context(), filepath.Join(t.TempDir(), "metadata"), smallestReserve, discard, fsys)
	if err != nil {
		t.Fatal(err)
	}
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	fsys.stuck.Store(true) // the store cannot heal
	setPersist(s, func(*database) ([]*layer, error) { return nil, errDisk })
	if err := publishNumbered(s, "o", 2); err != nil { // the journal has it
		t.Fatal(err)
	}
	eventually(t, "the database fails", s.failed.Load)
	setPersist(s, (*database).persist) // works again, as a sync after a failed one does
	if err := publishNumbered(s, "o", 3); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the next publish says %v", err)
	}
	if err := s.DeleteVersion(t.Context(), numberedRef("o", 1).VersionRef, store.Act{}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a delete says %v", err)
	}
	if _, err := s.Unnamed(t.Context(), nil); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the sweep is told %v", err)
	}
	if _, err := s.Reclaim(t.Context(), 1); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the reaper is told %v", err)
	}
	if condition := s.Condition(); !errors.Is(condition.Fault, store.ErrUnavailable) || condition.Readable {
		t.Errorf("the condition is %+v", condition)
	}
	for i := 1; i <= 2; i++ {
		if _, err := s.Lookup(t.Context(), numberedRef("o", i)); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("reading %d: %v", i, err)
		}
	}
	if _, err := s.Lookup(t.Context(), numberedRef("o", 9)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("what only the database knows: %v", err)
	}
	fsys.stuck.Store(false)
	eventually(t, "changes are taken again", func() bool { return publishNumbered(s, "o", 3) == nil })
	wantNumbered(t, s, 4, 1, 2, 3)
	mustClose(t, s)
}

func TestARefusedOperationLeavesItsBatchAlone(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	refusal := errors.New("refused")
	held, release := make(chan struct{}), make(chan struct{})
	var clients sync.WaitGroup
	clients.Go(func() {
		_ = s.submit(context.Background(), 1, func(*batch) error { close(held); <-release; return nil })
	})
	<-held
	bad := &operation{weight: 1, apply: func(*batch) error { return refusal }}
	good := &operation{weight: 1, apply: func(b *batch) error {
		b.put([]byte("p/x"), &packageRecord{id: 5})
		return nil
	}}
	for _, o := range []*operation{bad, good} {
		if _, err := s.join(o); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	s.rounds.Drain()
	clients.Wait()
	if !errors.Is(bad.err, refusal) || good.err != nil {
		t.Errorf("refused: %v, good: %v", bad.err, good.err)
	}
	var record packageRecord
	if err := s.opened.db.view(func(r reader) error { _, err := r.get([]byte("p/x"), &record); return err }); err != nil || record.id != 5 {
		t.Errorf("stored %+v: %v", record, err)
	}
}

// TestCountsFollow: what is counted for owners and packages, and the index by
// time, are what is there, and gone when nothing is.
func TestCountsFollow(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	for i := range 5 {
		if err := publishNumbered(s, "Owner", i); err != nil {
			t.Fatal(err)
		}
	}
	wanted := func(n int) recordCounts {
		sums := counts{versions: uint64(n), files: uint64(n), bytes: uint64(n)}
		return recordCounts{
			owners: 1, packages: 1, versions: n, times: n,
			owner: ownerRecord{name: "Owner", packages: 1, published: sums},
			pkg:   packageRecord{id: 1, name: "p", published: sums},
		}
	}
	if got := s.counts(t); got != wanted(5) {
		t.Errorf("counts are %+v, want %+v", got, wanted(5))
	}
	for i := range 5 {
		ref := store.VersionRef{Owner: "owner", Package: "P", Version: fmt.Sprint(i)}
		var err error
		if i%2 == 0 {
			err = s.DeleteVersion(t.Context(), ref, store.Act{})
		} else {
			err = s.DeleteFile(t.Context(), store.Ref{VersionRef: ref, File: "F"}, store.Act{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if got := s.counts(t); got != wanted(2) {
				t.Errorf("counts are %+v, want %+v", got, wanted(2))
			}
		}
	}
	if got := s.counts(t); got != (recordCounts{}) {
		t.Errorf("counts are %+v, want nothing", got)
	}
}

type recordCounts struct {
	owners, packages, versions, times int
	owner                             ownerRecord
	pkg                               packageRecord
}

func (s *Store) counts(t *testing.T) (c recordCounts) {
	t.Helper()
	err := s.opened.db.view(func(r reader) error {
		for prefix, n := range map[string]*int{ownerPrefix: &c.owners, packagePrefix: &c.packages, versionPrefix: &c.versions, timePrefix: &c.times} {
			if err := r.scan([]byte(prefix), nil, func(_, _ []byte) error { *n++; return nil }); err != nil {
				return err
			}
		}
		if _, err := r.get(ownerKey("owner"), &c.owner); err != nil {
			return err
		}
		_, err := r.get(packageKey("owner", "p"), &c.pkg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReserveIsAskedBeforeAnUpload(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	if err := (&Backend{Reserve: 1 << 61}).AdjustMetadata(s); err != nil {
		t.Fatal(err)
	}
	if err := s.Admit(t.Context()); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("error is %v", err)
	}
	if err := s.DeleteFile(t.Context(), store.Ref{}, store.Act{}); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("a delete within the reserve says %v", err)
	}
	if err := (&Backend{Reserve: smallestReserve}).AdjustMetadata(s); err != nil {
		t.Fatal(err)
	}
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Errorf("with the reserve lowered: %v", err)
	}
}

// TestClosingUnderLoad: every operation either happened or says unavailable, and
// none hangs.
func TestClosingUnderLoad(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root)
	var clients sync.WaitGroup
	var published sync.Map
	started := make(chan struct{}, 8)
	for client := range 8 {
		clients.Go(func() {
			for i := 0; ; i++ {
				n := client*1_000_000 + i
				err := publishNumbered(s, "o", n)
				if i == 3 {
					started <- struct{}{}
				}
				if err == nil {
					published.Store(n, true)
					continue
				}
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("publishing: %v", err)
				}
				return
			}
		})
	}
	for range 8 {
		<-started
	}
	mustClose(t, s)
	clients.Wait()
	again := mustOpen(t, root)
	defer mustClose(t, again)
	published.Range(func(n, _ any) bool {
		ref := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: fmt.Sprint(n)}, File: "f"}
		if _, err := again.Lookup(context.Background(), ref); err != nil {
			t.Errorf("%v: %v", n, err)
		}
		return true
	})
}

func BenchmarkPublish(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := mustOpen(b, b.TempDir())
			defer mustClose(b, s)
			var next atomic.Int64
			b.ResetTimer()
			var running sync.WaitGroup
			for range clients {
				running.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := publishNumbered(s, "o", int(i)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			running.Wait()
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	s := mustOpen(b, b.TempDir())
	defer mustClose(b, s)
	if err := publishNumbered(s, "o", 1); err != nil {
		b.Fatal(err)
	}
	ref := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: "1"}, File: "f"}
	for b.Loop() {
		if _, err := s.Lookup(context.Background(), ref); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAChangeThatTakesTooLong: the caller hears so, and not that it did not happen.
func TestAChangeThatTakesTooLong(t *testing.T) {
	s := publishedStore(t, t.TempDir(), 1)
	defer mustClose(t, s)
	s.committer.Lock()                                           // as a disk that does not answer keeps it
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // in which it is queued
	defer cancel()
	err := s.DeleteFile(ctx, numberedRef("o", 0), testAct)
	s.committer.Unlock()
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error is %v, want one that leaves the outcome open", err)
	}
	eventually(t, "the change has happened", func() bool {
		_, err := s.Lookup(t.Context(), numberedRef("o", 0))
		return errors.Is(err, store.ErrPackageNotFound)
	})
}
