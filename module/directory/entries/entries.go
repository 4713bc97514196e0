// Package entries makes the entries of a store's directories durable: the names of files
// and of directories.
//
// A sync of a directory makes its entries durable, and those who need it at the same moment
// share one. A failed sync is never tried again: the next one may succeed although what the
// failed one lost is gone. It may have lost entries of others too. So the syncs that failed
// are counted (the epoch), and whoever gave a name before a failure, and has it synced after
// that, is refused.
package entries

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Entries are those of the directory of a store, and of the directories in it. Many may use
// them at once.
type Entries struct {
	path  string // of the store
	fsys  disk.FS
	syncs *directorySync

	// epoch counts the syncs that failed.
	epoch atomic.Uint64

	mu   sync.Mutex
	made map[string]error // directories: nil once durable, else why they may be lost
}

// New returns the entries of a directory, of which nothing is known.
func New(fsys disk.FS, path string) *Entries {
	e := &Entries{path: path, fsys: fsys, made: make(map[string]error)}
	e.syncs = newDirectorySync(e.sync)
	return e
}

// ErrLost says that a name may not be durable: the sync that the caller waited for succeeded,
// but one before it failed.
var ErrLost = fmt.Errorf("%w: a sync failed meanwhile, and may have lost it", store.ErrUnavailable)

// Give gives a file its name, by a function, and makes durable what that changed in some
// directories, one after the other. An error of the function is returned as it is, with no
// sync. After any other error nobody knows whether the name is durable.
func (e *Entries) Give(give func() error, directories ...string) error {
	epoch := e.epoch.Load()
	if err := give(); err != nil {
		return err
	}
	for _, path := range directories {
		if err := e.syncs.wait(path); err != nil {
			return directory.NotWritten(err)
		}
		// The syncs of one directory follow each other, and a failure is counted before the
		// next one begins.
		if e.epoch.Load() > epoch {
			return ErrLost
		}
	}
	return nil
}

func (e *Entries) sync(path string) error {
	err := e.fsys.SyncDirectory(path)
	if err != nil {
		e.epoch.Add(1)
	}
	return err
}
