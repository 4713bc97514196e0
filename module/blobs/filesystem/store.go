package filesystem

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs"
	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/directory/entries"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	layout = "generic_registry blobs filesystem"
	// layoutVersion is of packs with lines of a journal.
	layoutVersion = 4

	temporaryDirectory  = "tmp"
	sessionDirectory    = "uploads"
	quarantineDirectory = "quarantine"
	packDirectory       = "packs"
)

// smallBlob is the most bytes of a blob that goes into a pack.
const smallBlob = format.Largest

// Store is an open directory of blobs: packs for small ones, <directory>/<random> for each
// other one, tmp for those being written, uploads for sessions, and quarantine for those
// that are damaged.
type Store struct {
	path    string
	claim   *directory.Claim
	fsys    disk.FS
	log     *slog.Logger
	space   *space
	entries *entries.Entries
	packs   *packs.Store
	closed  atomic.Bool

	// sequence spreads locators over directories. After a restart it goes on in the
	// directory that was being filled.
	sequence atomic.Uint64

	saving   sync.Mutex // of sessions: a sync that fails loses the name of one alone
	doubtful sync.Map   // IDs of sessions that failed to be saved, and may not be durable as they are

	quarantining sync.Mutex
	positioning  sync.Mutex // guards the file of the position

	now func() time.Time
}

// Open claims the directory at path, which it makes if need be, and removes what
// writes left that never ended. Of the disk, reserve bytes stay free. All changes
// to the directory go through fsys, but for the claim.
//
// ErrLocked, ErrFormat; ErrNoSpace when less than the reserve is free.
func Open(path string, reserve int64, log *slog.Logger, fsys disk.FS) (*Store, error) {
	take := func() (*directory.Claim, error) { return directory.Take(path, layout, layoutVersion) }
	return open(take, reserve, log, fsys, format.Layout{})
}

func open(take func() (*directory.Claim, error), reserve int64, log *slog.Logger, fsys disk.FS, layout format.Layout) (*Store, error) {
	claim, err := take()
	if err != nil {
		return nil, directory.OpenFault(err)
	}
	s := &Store{
		path:    claim.Path,
		claim:   claim,
		fsys:    fsys,
		log:     log,
		space:   &space{path: claim.Path, fsys: fsys},
		entries: entries.New(fsys, claim.Path),
		now:     time.Now,
	}
	s.space.reserve.Store(reserve)
	if err := s.prepare(log, layout); err != nil {
		return nil, errors.Join(directory.OpenFault(err), s.closePacks(), claim.Release())
	}
	return s, nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return fmt.Errorf("%w: closed", store.ErrUnavailable)
	}
	return ctx.Err()
}

// find returns the file name of a locator.
func (s *Store) find(ctx context.Context, locator store.Locator) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	return s.place(locator)
}

// place returns the name of a locator's file.
func (s *Store) place(locator store.Locator) (string, error) {
	directory, name, err := locator.Split()
	if err != nil {
		return "", err
	}
	return filepath.Join(s.path, directory, name), nil
}

// temporary returns the name of a file until it gets its place.
func (s *Store) temporary(place string) string {
	return filepath.Join(s.path, temporaryDirectory, filepath.Base(place))
}

// Open implements store.BlobStore. What it returns is an *os.File, so that the kernel can
// send it, or has all bytes of a small blob in memory.
func (s *Store) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	name, err := s.find(ctx, locator)
	if err != nil {
		return nil, err
	}
	if format.Owns(locator) {
		content, err := s.packs.Read(locator, size)
		if err != nil {
			return nil, err
		}
		return small{bytes.NewReader(content)}, nil
	}
	file, err := disk.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", s.notFound(err))
	}
	info, err := file.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%w: blob %s has %d bytes, not %d", store.ErrDamaged, locator, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// small reads a small blob.
type small struct{ *bytes.Reader }

// Close implements io.Closer.
func (small) Close() error { return nil }

// Stat implements store.BlobStore.
func (s *Store) Stat(ctx context.Context, locator store.Locator) (int64, error) {
	name, err := s.find(ctx, locator)
	if err != nil {
		return 0, err
	}
	if format.Owns(locator) {
		return s.packs.Stat(locator)
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, fmt.Errorf("asking for file: %w", s.notFound(err))
	}
	return info.Size(), nil
}

// Delete implements store.BlobStore.
func (s *Store) Delete(ctx context.Context, locator store.Locator) error {
	name, err := s.find(ctx, locator)
	if err != nil {
		return err
	}
	if format.Owns(locator) {
		return s.packs.Delete(locator)
	}
	if err := s.judge(s.fsys.Remove(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing file: %w", directory.Full(err))
	}
	return nil
}

// Condition implements store.BlobStore.
func (s *Store) Condition() store.Condition {
	if err := s.usable(context.Background()); err != nil {
		return store.Condition{Fault: err}
	}
	condition := store.Condition{Readable: true}
	free, err := s.fsys.Free(s.path)
	if err != nil {
		condition.Fault = fmt.Errorf("asking for free space: %w", err)
	}
	condition.Space = directory.Space(free, s.space.reserve.Load())
	condition.Fault = cmp.Or(s.claim.Check(), condition.Fault)
	return condition
}

// Close implements store.BlobStore. Closing twice is harmless.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return errors.Join(s.closePacks(), s.claim.Release())
}

func (s *Store) closePacks() error {
	if s.packs == nil {
		return nil
	}
	return s.packs.Close()
}

// Recovered implements store.Recoverer.
func (s *Store) Recovered() []store.Locator { return s.packs.Recovered() }

// notFound makes ErrBlobNotFound of the error that a file is missing.
func (s *Store) notFound(err error) error {
	if err = s.judge(err); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", store.ErrBlobNotFound, err)
	}
	return err
}

// judge makes ErrUnavailable of the error that a file is missing, when the directory of the
// store was removed, or is not mounted any more: then that says nothing of the file.
func (s *Store) judge(err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return cmp.Or(s.claim.Check(), err)
}

var (
	_ store.BlobStore  = (*Store)(nil)
	_ store.Recoverer  = (*Store)(nil)
	_ store.Identified = (*Store)(nil)
)
