package filesystem

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const followers = 20

// gate is what syncs pass: the first one waits until release is closed, and the one
// numbered failing fails.
type gate struct {
	count   atomic.Int32
	release chan struct{}
	failing int32
}

func (g *gate) pass() error {
	round := g.count.Add(1)
	if round == 1 {
		<-g.release
	}
	if round == g.failing {
		return errRound
	}
	return nil
}

var errRound = errors.New("input/output error of a round")

// directories has the syncs of the blobs' directory pass.
func (g *gate) directories(o *steps) {
	o.syncDirectory = func(name string) error {
		if filepath.Base(name) != "00000000" {
			return nil // the store's own
		}
		return g.pass()
	}
}

// commitTogether commits one blob, and the followers while the sync of the first
// one runs. It returns the followers' errors and the first one's.
func (g *gate) commitTogether(t *testing.T, s *Store) (later []error, first error) {
	t.Helper()
	var commits sync.WaitGroup
	commits.Go(func() { first = writeBlob(s, store.NewLocator(1), 10) })
	synctest.Wait() // in its sync
	var returned atomic.Int32
	later = make([]error, followers)
	for i := range followers {
		commits.Go(func() {
			later[i] = writeBlob(s, store.NewLocator(1), 10)
			returned.Add(1)
		})
	}
	synctest.Wait() // in their places, and waiting
	if syncs, acknowledged := g.count.Load(), returned.Load(); syncs != 1 || acknowledged != 0 {
		t.Errorf("while the first sync runs: %d syncs, %d commits returned", syncs, acknowledged)
	}
	close(g.release)
	commits.Wait()
	return later, first
}

// TestCommitsShareASync: all commits that come while a sync of their directory
// runs wait for the next one together; the one that ran does not count for them.
func TestCommitsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{release: make(chan struct{})}
		s := newStore(t, 1, g.directories)
		later, first := g.commitTogether(t, s)
		if err := errors.Join(append(later, first)...); err != nil {
			t.Error(err)
		}
		if got := g.count.Load(); got != 2 {
			t.Errorf("%d syncs for %d commits", got, followers+1)
		}
		if len(s.names.queues) > 0 {
			t.Errorf("%d queues are left", len(s.names.queues))
		}
	})
}

// TestAFailedSyncFailsItsRoundAndNoOther: everybody who waited on it hears of
// it, nobody tries again, and who comes before or after is not touched.
func TestAFailedSyncFailsItsRoundAndNoOther(t *testing.T) {
	for failing := range int32(2) {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{release: make(chan struct{}), failing: failing + 1}
			s := newStore(t, 1, g.directories)
			later, first := g.commitTogether(t, s)
			if errors.Is(first, errRound) != (g.failing == 1) {
				t.Errorf("round %d fails: the first commit says %v", g.failing, first)
			}
			for _, err := range later {
				if errors.Is(err, errRound) != (g.failing == 2) {
					t.Errorf("round %d fails: a follower says %v", g.failing, err)
				}
			}
			if got := g.count.Load(); got != 2 {
				t.Errorf("%d syncs: a failed one was tried again", got)
			}
			if err := writeBlob(s, store.NewLocator(1), 10); err != nil {
				t.Errorf("a commit of the next round: %v", err)
			}
			wantNothingLeft(t, s)
		})
	}
}

// TestEveryCommitIsFollowedByASync: a sync of the directory begins after each
// rename and before its commit returns.
func TestEveryCommitIsFollowedByASync(t *testing.T) {
	var mu sync.Mutex
	renamed, synced := make(map[string]bool), make(map[string]bool)
	s := newStore(t, 1, func(o *steps) {
		rename, syncDirectory := o.rename, o.syncDirectory
		o.rename = func(from, to string) error {
			err := rename(from, to)
			mu.Lock()
			renamed[to] = true
			mu.Unlock()
			return err
		}
		o.syncDirectory = func(name string) error {
			mu.Lock()
			var covered []string
			for path := range renamed {
				if filepath.Dir(path) == name {
					covered = append(covered, path)
				}
			}
			mu.Unlock()
			err := syncDirectory(name)
			mu.Lock()
			for _, path := range covered {
				synced[path] = true
			}
			mu.Unlock()
			return err
		}
	})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range 20 {
				locator := store.NewLocator(uint64(i) * 3_000)
				if err := writeBlob(s, locator, 10); err != nil {
					t.Error(err)
				}
				mu.Lock()
				if !synced[filepath.Join(s.path, filepath.FromSlash(string(locator)))] {
					t.Errorf("%s was acknowledged without a sync", locator)
				}
				mu.Unlock()
			}
		})
	}
	clients.Wait()
}
