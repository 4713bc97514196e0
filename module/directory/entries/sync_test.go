package entries

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

const followers = 20

// gate is a disk on which the first sync waits until release is closed, and the one
// numbered failing fails.
type gate struct {
	disk.OS
	count   atomic.Int32
	release chan struct{}
	failing int32
}

func (g *gate) SyncDirectory(string) error {
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

func given() error { return nil }

// giveTogether gives one name, and the followers' while the sync of the first one runs. It
// returns the followers' errors and the first one's.
func (g *gate) giveTogether(t *testing.T, e *Entries) (later []error, first error) {
	t.Helper()
	var names sync.WaitGroup
	names.Go(func() { first = e.Give(given, "folder") })
	synctest.Wait() // in its sync
	var returned atomic.Int32
	later = make([]error, followers)
	for i := range followers {
		names.Go(func() {
			later[i] = e.Give(given, "folder")
			returned.Add(1)
		})
	}
	synctest.Wait() // given, and waiting
	if syncs, acknowledged := g.count.Load(), returned.Load(); syncs != 1 || acknowledged != 0 {
		t.Errorf("while the first sync runs: %d syncs, %d names returned", syncs, acknowledged)
	}
	close(g.release)
	names.Wait()
	return later, first
}

// TestNamesShareASync: all names that are given while a sync of their directory
// runs wait for the next one together; the one that ran does not count for them.
func TestNamesShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{release: make(chan struct{})}
		e := New(g, "")
		later, first := g.giveTogether(t, e)
		if err := errors.Join(append(later, first)...); err != nil {
			t.Error(err)
		}
		if got := g.count.Load(); got != 2 {
			t.Errorf("%d syncs for %d names", got, followers+1)
		}
		if len(e.syncs.directories) > 0 {
			t.Errorf("%d directories are left", len(e.syncs.directories))
		}
	})
}

// TestAFailedSyncFailsEveryCommitThatItMayHaveLost: every commit that waited for the sync
// fails, every commit that gave a name before the sync failed is refused, no commit tries
// again, and later commits are not affected. Seen to fail without the look at the epoch.
func TestAFailedSyncFailsEveryCommitThatItMayHaveLost(t *testing.T) {
	for failing := range int32(2) {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{release: make(chan struct{}), failing: failing + 1}
			e := New(g, "")
			later, first := g.giveTogether(t, e)
			wantFirst, wantLater := errRound, ErrLost
			if g.failing == 2 {
				wantFirst, wantLater = nil, errRound
			}
			if !errors.Is(first, wantFirst) {
				t.Errorf("round %d fails: the first name: %v, want %v", g.failing, first, wantFirst)
			}
			for _, err := range later {
				if !errors.Is(err, wantLater) {
					t.Errorf("round %d fails: a follower: %v, want %v", g.failing, err, wantLater)
				}
			}
			if got := g.count.Load(); got != 2 {
				t.Errorf("%d syncs: a failed one was tried again", got)
			}
			if err := e.Give(given, "folder"); err != nil {
				t.Errorf("a name of the next round: %v", err)
			}
		})
	}
}
