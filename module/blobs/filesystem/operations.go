package filesystem

import (
	"io"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

const (
	filePermissions      = 0o600
	directoryPermissions = 0o700
)

// operations are the steps of opening and of a write that can fail and must fail
// safely. Tests put faults in their place.
type operations struct {
	take          func(name string) (*directory.Claim, error)
	create        func(name string) (writeFile, error)
	rename        func(from, to string) error
	remove        func(name string) error
	makeDirectory func(name string) error
	syncDirectory func(name string) error
	free          func(name string) (uint64, error)
}

// writeFile is what a blob needs of a file while it is written.
type writeFile interface {
	io.WriteCloser
	Sync() error
}

var systemOperations = operations{
	take: func(name string) (*directory.Claim, error) { return directory.Take(name, layout, layoutVersion) },
	create: func(name string) (writeFile, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePermissions)
	},
	rename:        os.Rename,
	remove:        os.Remove,
	makeDirectory: func(name string) error { return os.Mkdir(name, directoryPermissions) },
	syncDirectory: disk.OS{}.SyncDirectory,
	free:          disk.Free,
}
