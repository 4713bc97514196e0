// Package directory claims the directory of a store: it makes and syncs the directory,
// locks it against other processes, and marks it with the layout of its content.
package directory

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	lockFile   = ".lock"
	formatFile = "FORMAT"
)

// Claim is a directory that this process may use and no other.
type Claim struct {
	// Path is absolute, with symbolic links resolved.
	Path   string
	lock   *os.File // in it, locked
	itself *os.File // the directory, locked; nil where its lock file cannot be removed
	format []byte   // what the format file says
}

// Take makes a directory if need be and claims it for a layout, such as
// "generic_registry blobs", of a version. ErrLocked when another process, or
// another store of this one, has it; ErrFormat when it holds another layout or another
// version.
func Take(path, layout string, version int) (*Claim, error) {
	path = Identity(path)
	if err := Make(path); err != nil {
		return nil, fmt.Errorf("making directory: %w", err)
	}
	if _, kept := abandoned.Load(path); kept {
		return nil, fmt.Errorf("%w: what this process had open in %s never ended; restart Caddy", store.ErrUnavailable, path)
	}
	if err := keepPrivate(path); err != nil {
		return nil, err
	}
	lock, err := takeLock(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDONLY) // which a read-only file system allows
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("%w: %s; stop that process, or give each its own root", store.ErrLocked, path)
	}
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	itself, err := lockItself(path)
	if errors.Is(err, store.ErrLocked) {
		err = fmt.Errorf("%w: %s, whose lock file was removed; stop that process", store.ErrLocked, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the directory: %w", err), lock.Close())
	}
	claim := &Claim{Path: path, lock: lock, itself: itself}
	if err := checkFormat(disk.OS{}, path, layout, version); err != nil {
		return nil, errors.Join(err, claim.Release())
	}
	if claim.format, err = os.ReadFile(filepath.Join(path, formatFile)); err != nil {
		return nil, errors.Join(fmt.Errorf("reading format: %w", err), claim.Release())
	}
	return claim, nil
}

// keepPrivate closes a directory to other users that was made before, as a mount point
// or by hand: a database makes files in it that the umask alone keeps from others.
func keepPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&^disk.DirectoryPermissions == 0 {
		return err
	}
	if err := os.Chmod(path, disk.DirectoryPermissions); err != nil {
		return fmt.Errorf("closing the directory of a store to other users, which %v lets in: %w; give it to the user that Caddy runs as, or change it to %v", info.Mode().Perm(), err, disk.DirectoryPermissions)
	}
	return nil
}

// Check reports ErrUnavailable when what the claim rests on was removed or replaced
// since: the lock file, the format file, or the directory itself.
func (c *Claim) Check() error {
	for name, held := range map[string]*os.File{lockFile: c.lock, ".": c.itself} {
		was, err := held.Stat()
		if err != nil {
			continue // it is not held here
		}
		now, err := os.Stat(filepath.Join(c.Path, name))
		if err != nil || !os.SameFile(was, now) {
			return removed(filepath.Join(c.Path, name), err)
		}
	}
	text, err := os.ReadFile(filepath.Join(c.Path, formatFile))
	if err != nil || !bytes.Equal(text, c.format) {
		return removed(filepath.Join(c.Path, formatFile), err)
	}
	return nil
}

// removed says that a file is not the one that is open. ErrUnavailable.
func removed(name string, err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: looking whether it is still there: %w", store.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %s was removed or replaced while it is in use; put it back, or restart Caddy to use what is there", store.ErrUnavailable, name)
}

// Release gives the directory back. Releasing twice is harmless.
func (c *Claim) Release() error { return errors.Join(unlock(c.itself), unlock(c.lock)) }

func unlock(file *os.File) error {
	if err := file.Close(); !errors.Is(err, os.ErrInvalid) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil // there was none, or it was given back already
}

// Abandon keeps the directory claimed for the life of the process: something in it may
// still write to the directory.
func (c *Claim) Abandon() { abandoned.Store(c.Path, true) }

// abandoned has the paths of claims that nobody gives back.
var abandoned sync.Map

// Identity returns the one name of a directory that may not exist yet: absolute,
// and with symbolic links resolved as far as it exists.
func Identity(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return filepath.Clean(path)
	}
	for existing, missing := absolute, ""; ; {
		if resolved, err := filepath.EvalSymlinks(existing); err == nil {
			return filepath.Join(resolved, missing)
		}
		parent := filepath.Dir(existing)
		if parent == existing {
			return absolute
		}
		missing = filepath.Join(filepath.Base(existing), missing)
		existing = parent
	}
}

// Make makes a directory and its parents, durably. One that is there is no error.
func Make(path string) error { return makeAll(disk.OS{}, path) }

// makeAll makes a directory and its parents, each durable in its own parent. One that
// cannot be made so is removed again: a later sync may succeed although its name is lost.
func makeAll(fsys disk.FS, path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s: %w", path, syscall.ENOTDIR)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeAll(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MakeDirectory(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := fsys.SyncDirectory(parent); err != nil {
		return errors.Join(err, fsys.Remove(path))
	}
	return nil
}

// checkFormat reads which layout a directory holds, and in which version. One without a
// mark gets it: it must be empty but for the lock, or its marks were lost and
// nothing may be guessed.
func checkFormat(fsys disk.FS, path, layout string, version int) error {
	name := filepath.Join(path, formatFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFormat(fsys, path, layout, version)
	}
	if err != nil {
		return fmt.Errorf("reading format: %w", err)
	}
	found, number, _ := cutLast(strings.TrimSpace(string(text)))
	n, err := strconv.Atoi(number)
	if found != layout || err != nil {
		return fmt.Errorf("%w: %s says %q, not %q; this directory is not such a store", store.ErrFormat, name, string(text), layout)
	}
	if n > version {
		return fmt.Errorf("%w: %s says version %d, this release knows %d; use the newer release that wrote it", store.ErrFormat, name, n, version)
	}
	if n < version {
		return fmt.Errorf("%w: %s was written by an earlier build, in version %d of the format; this release reads version %d only: start with an empty directory, and publish again or restore a backup", store.ErrFormat, path, n, version)
	}
	return nil
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, ' ')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

func writeFormat(fsys disk.FS, path, layout string, version int) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("reading directory: %w", err)
	}
	for _, entry := range entries {
		switch entry.Name() {
		case lockFile, disk.Temporary(formatFile):
		case "lost+found": // of a file system made for the store
		default:
			return fmt.Errorf("%w: %s has %s but no %s; use an empty directory", store.ErrFormat, path, entry.Name(), formatFile)
		}
	}
	return disk.WriteNewFile(fsys, filepath.Join(path, formatFile), mark(layout, version))
}

func mark(layout string, version int) string { return fmt.Sprintf("%s %d\n", layout, version) }
