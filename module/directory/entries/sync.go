package entries

import (
	"context"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store/rounds"
)

// directorySync makes names durable for everybody who waits: commits that need the same
// directory synced at the same moment share one sync of it (package rounds). Opening the
// directory anew for each round, an error reaches just those who waited on it. Who gave
// a name meanwhile may have lost it too, and is told by the epoch (Entries.Give).
type directorySync struct {
	sync func(path string) error

	mu          sync.Mutex
	directories map[string]*syncedDirectory
}

// syncedDirectory is a directory that somebody waits for.
type syncedDirectory struct {
	*rounds.Rounds[struct{}]
	waiting int
}

func newDirectorySync(sync func(string) error) *directorySync {
	return &directorySync{sync: sync, directories: make(map[string]*syncedDirectory)}
}

// wait returns when a sync of the directory that began after the call has ended,
// with its error. A failed sync is not tried again, here or by the caller.
func (d *directorySync) wait(path string) error {
	directory := d.enter(path)
	defer d.leave(path, directory)
	return directory.Join(context.Background(), struct{}{})
}

func (d *directorySync) enter(path string) *syncedDirectory {
	d.mu.Lock()
	defer d.mu.Unlock()
	directory := d.directories[path]
	if directory == nil {
		directory = &syncedDirectory{Rounds: rounds.New(0, func([]struct{}) error { return d.sync(path) })}
		d.directories[path] = directory
	}
	directory.waiting++
	return directory
}

func (d *directorySync) leave(path string, directory *syncedDirectory) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if directory.waiting--; directory.waiting == 0 {
		delete(d.directories, path)
	}
}
