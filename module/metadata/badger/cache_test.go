package badger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/coding"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// cacheKeys are few, so that steps meet.
const cacheKeys = 3

// cacheModel is a database whose commits and readers go one step at a time. A step
// that cannot be taken is none.
type cacheModel struct {
	*cache
	visible map[string]uint64 // what who begins to read sees, by key
	next    uint64            // value

	lost map[string]uint64 // what was visible before a compaction lost some of it, or nil

	seen    uint64            // the number of the last commit that is visible
	writing map[string]uint64 // of the commit that has begun, or nil
	failed  bool              // nothing is committed until the database is opened again

	readers []cacheReader
}

// cacheReader has begun to read: it sees what was visible then.
type cacheReader struct {
	seen     uint64
	snapshot map[string]uint64
}

func record(value uint64) coding.Record { return &fileRecord{id: value} }

func (m *cacheModel) drawKey(t *rapid.T) string {
	return "f/" + strconv.Itoa(rapid.IntRange(0, cacheKeys-1).Draw(t, "key"))
}

// commit takes the next step of a commit, or of a new one. There is one at a time.
func (m *cacheModel) commit(t *rapid.T) {
	switch {
	case m.failed: // nothing is committed
	case m.writing == nil:
		m.beginCommit(t)
	default:
		m.show()
	}
}

// beginCommit is of a commit that writes some keys; 0 deletes.
func (m *cacheModel) beginCommit(t *rapid.T) {
	m.writing = make(map[string]uint64)
	records := make(map[string][]byte)
	for range rapid.IntRange(1, 3).Draw(t, "keys") {
		key := m.drawKey(t)
		m.next++
		m.writing[key] = m.next * uint64(rapid.IntRange(0, 1).Draw(t, "deleted or not"))
		records[key] = nil
	}
	m.begin(m.seen+1, records)
}

// show lets readers see a commit.
func (m *cacheModel) show() {
	m.visible = maps.Clone(m.visible)
	maps.Copy(m.visible, m.writing)
	maps.DeleteFunc(m.visible, func(_ string, value uint64) bool { return value == 0 })
	m.writing = nil
	m.seen++
}

// lose is a compaction that brings an old record back. It is noticed at once, but by
// then somebody may have read it.
func (m *cacheModel) lose(t *rapid.T) {
	if m.writing != nil || m.failed {
		return // not now
	}
	m.lost, m.failed = m.visible, true
	m.visible = maps.Clone(m.visible)
	m.visible[m.drawKey(t)] = 1
}

// reopen ends all readers; the journal then decides.
func (m *cacheModel) reopen(*rapid.T) {
	if !m.failed {
		return // nothing failed
	}
	if m.lost != nil {
		m.visible, m.lost = m.lost, nil
	}
	m.seen, m.failed, m.readers = 0, false, nil
	m.clear()
}

func (m *cacheModel) beginRead(*rapid.T) {
	m.readers = append(m.readers, cacheReader{m.seen, m.visible})
}

// keepOne puts in what a reader found.
func (m *cacheModel) keepOne(t *rapid.T) {
	if len(m.readers) == 0 {
		return // nobody reads
	}
	i := rapid.IntRange(0, len(m.readers)-1).Draw(t, "reader")
	r, key := m.readers[i], m.drawKey(t)
	if value, found := r.snapshot[key]; found {
		m.put([]byte(key), record(value), r.seen)
	}
	if rapid.Bool().Draw(t, "ends") {
		m.readers = append(m.readers[:i], m.readers[i+1:]...)
	}
}

// age is what a shard does that is full.
func (m *cacheModel) age(*rapid.T) {
	for i := range m.shards {
		s := &m.shards[i]
		s.older, s.recent, s.size = s.recent, nil, 0
	}
}

// check: what is in the cache is what a reader that begins now would see.
func (m *cacheModel) check(t *rapid.T) {
	for i := range cacheKeys {
		key := "f/" + strconv.Itoa(i)
		cached, ok := m.get([]byte(key)).(*fileRecord)
		if ok && m.lost == nil && cached.id != m.visible[key] {
			t.Fatalf("%s is %d in the cache and %d in the database", key, cached.id, m.visible[key])
		}
	}
}

// TestTheCacheIsNeverBehind: in whatever order commits and readers take their steps,
// a record in the cache is the database's.
// Seen to fail with a cache that keeps what a commit writes, or takes it from a read
// that began before.
func TestTheCacheIsNeverBehind(t *testing.T) {
	const runs = 50 // of as many checks as all models get: these are short
	for range runs {
		rapid.Check(t, func(t *rapid.T) {
			m := &cacheModel{cache: newCache(), visible: make(map[string]uint64)}
			t.Repeat(map[string]func(*rapid.T){
				"commit":        m.commit,
				"lose a record": m.lose,
				"reopen":        m.reopen,
				"begin to read": m.beginRead,
				"keep":          m.keepOne,
				"age":           m.age,
				"":              m.check,
			})
		})
	}
}

// TestTheCacheIsBounded: however much is looked up; what is asked for all the time
// stays.
func TestTheCacheIsBounded(t *testing.T) {
	c := newCache()
	hot := fileKey(1<<40, "hot")
	c.put(hot, record(1), 0)
	for i := range 200_000 {
		key := fileKey(uint64(i), "file")
		c.put(key, &fileRecord{name: "file", creator: "somebody"}, 0)
		if c.get(hot) == nil {
			t.Fatalf("the hot record is gone after %d", i)
		}
	}
	total, count := 0, 0
	for i := range c.shards {
		for _, half := range []map[string]coding.Record{c.shards[i].recent, c.shards[i].older} {
			for key, r := range half {
				total += weight(key, r)
				count++
			}
		}
	}
	if total > cacheBytes || count < cacheBytes/cacheOverhead/4 {
		t.Errorf("%d records of %d bytes", count, total)
	}
	for i := range 200_000 {
		c.begin(1, map[string][]byte{string(fileKey(uint64(i), "file")): nil})
	}
	for i := range c.shards {
		if s := &c.shards[i]; len(s.recent)+len(s.older) > 1 || s.size > 2*cacheOverhead {
			t.Errorf("%d and %d records, %d bytes are left", len(s.recent), len(s.older), s.size)
		}
	}
}

// TestWhoeverSeesACommitAllDo: while a delete is journalled a lookup finds the file,
// and none does from the moment on at which the delete is over, long before the
// database has it.
func TestWhoeverSeesACommitAllDo(t *testing.T) {
	s, release := held(t, t.TempDir())
	defer mustClose(t, s)
	defer release(nil)
	if err := publishNumbered(s, "o", 1); err != nil {
		t.Fatal(err)
	}
	ctx, ref := context.Background(), numberedRef("o", 1)
	look := func() error { _, err := s.Lookup(ctx, ref); return err }
	if err := errors.Join(look(), look()); err != nil {
		t.Fatal(err)
	}
	whileJournalling(s, func() {
		if err := look(); err != nil {
			t.Errorf("before the commit: %v", err)
		}
	})
	if err := s.DeleteFile(ctx, ref, store.Act{User: "u"}); err != nil {
		t.Fatal(err)
	}
	if err := look(); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("after it: %v", err)
	}
}

// whileJournalling has something done before each change is journalled.
func whileJournalling(s *Store, do func()) {
	s.committer.Lock()
	defer s.committer.Unlock()
	appendTo := s.appendTo
	s.appendTo = func(j *journal.Journal, changes []store.Change) (store.Position, error) {
		do()
		return appendTo(j, changes)
	}
}

// TestTokensOutOfMemory: a token is found with its latest use, and not from the moment
// on at which its revocation can be seen.
func TestTokensOutOfMemory(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	ctx, secret := context.Background(), store.Digest{7}
	if err := s.AddToken(ctx, grant.Token{ID: "id", Name: "n", User: "u", Created: time.Unix(1, 0)}, secret); err != nil {
		t.Fatal(err)
	}
	for _, used := range []time.Time{time.Unix(2, 0).UTC(), time.Unix(3, 0).UTC()} {
		if err := s.UseTokens(ctx, map[string]time.Time{"id": used}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // from the database, from memory
			token, got, err := s.FindToken(ctx, "id")
			if err != nil || got != secret || token.User != "u" || !token.LastUsed.Equal(used) {
				t.Errorf("%+v with %v, %v; it was used at %v", token, got, err, used)
			}
		}
	}
	if _, _, ok := s.recallToken("id"); !ok {
		t.Error("it is not in memory")
	}
	whileJournalling(s, func() {
		if _, _, err := s.FindToken(ctx, "id"); err != nil {
			t.Errorf("before the commit: %v", err)
		}
	})
	if err := s.DeleteToken(ctx, "id", store.Act{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.FindToken(ctx, "id"); !errors.Is(err, store.ErrTokenNotFound) {
		t.Errorf("after it: %v", err)
	}
}

// TestReopeningForgetsTheCache: what a database told that was rebuilt since is
// nobody's truth.
func TestReopeningForgetsTheCache(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	ctx, ref := context.Background(), numberedRef("o", 1)
	s.cache.put(packageKey(ref.Owner, ref.Package), &packageRecord{id: 7}, 9)
	s.cache.put(versionKey(7, ref.Version), &versionRecord{id: 7}, 9)
	s.cache.put(fileKey(7, ref.File), &fileRecord{size: 1}, 9)
	s.cache.put(blobKey(store.Digest{}), &blobRecord{size: 1}, 9)
	if _, err := s.Lookup(ctx, ref); err != nil {
		t.Fatal(err)
	}
	if err := s.reopen(); err != nil {
		t.Fatal(err)
	}
	if file, err := s.Lookup(ctx, ref); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("still found as %+v, %v", file, err)
	}
}

// TestLookupsBesideChanges: with publishes and deletes of files and versions under
// way, what was acknowledged is found from then on, what was deleted is not, nobody
// sees time go back, and the bytes are where the last publish of them put them.
func TestLookupsBesideChanges(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	defer mustClose(t, s)
	rounds := 20
	if os.Getenv(long) != "" {
		rounds = 200
	}
	ctx := context.Background()
	var over atomic.Bool
	var readers, writers sync.WaitGroup
	for w := range 4 {
		ref := numberedRef("o", w)
		for range 2 {
			readers.Go(func() {
				var newest int
				for !over.Load() {
					file, err := s.Lookup(ctx, ref)
					switch {
					case errors.Is(err, store.ErrPackageNotFound), errors.Is(err, store.ErrFileNotFound):
						continue
					case err != nil:
						t.Errorf("looking up: %v", err)
						return
					}
					generation, err := strconv.Atoi(file.Creator)
					if err != nil || generation < newest {
						t.Errorf("generation %q after %d", file.Creator, newest)
						return
					}
					newest = generation
				}
			})
		}
		writers.Go(func() {
			for generation := range rounds {
				if err := changeAndLook(ctx, s, ref, w, generation); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	over.Store(true)
	readers.Wait()
}

// changeAndLook publishes a file, gives its bytes another place, and deletes it,
// and looks each time.
func changeAndLook(ctx context.Context, s *Store, ref store.Ref, writer, generation int) error {
	publish := func(ref store.Ref) (store.File, error) {
		p := publicationOf(ref, byte(writer), byte(generation%3))
		p.Creator = strconv.Itoa(generation)
		file, _, err := s.Publish(ctx, p)
		return file, err
	}
	wantAt := func(locator store.Locator) error {
		file, err := s.Lookup(ctx, ref)
		if err != nil || file.Creator != strconv.Itoa(generation) || file.Locator != locator {
			return fmt.Errorf("generation %d at %s: %+v, %w", generation, locator, file, err)
		}
		return nil
	}
	file, err := publish(ref)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	if err := wantAt(file.Locator); err != nil {
		return err
	}
	twin := ref
	twin.File = "twin"
	// Nothing confirms the bytes that are there: its own take their place.
	if file, err = publish(twin); err != nil {
		return fmt.Errorf("publishing its twin: %w", err)
	}
	if err := wantAt(file.Locator); err != nil {
		return err
	}
	if generation%2 == 0 {
		err = s.DeleteVersion(ctx, ref.VersionRef, store.Act{User: "u"})
	} else {
		err = errors.Join(s.DeleteFile(ctx, ref, store.Act{User: "u"}), s.DeleteFile(ctx, twin, store.Act{User: "u"}))
	}
	if err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	if file, err := s.Lookup(ctx, ref); !errors.Is(err, store.ErrPackageNotFound) {
		return fmt.Errorf("deleted, and found as %+v, %w", file, err)
	}
	return nil
}
