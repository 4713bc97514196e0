package filesystem

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

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
