package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	layout        = "generic_registry blobs filesystem"
	layoutVersion = 1

	temporaryDirectory  = "tmp"
	quarantineDirectory = "quarantine"

	// bindingFile has the ID of the metadata store that names the blobs.
	bindingFile = "METADATA"

	// walkChunk bounds how many names of a directory are in memory at once.
	walkChunk = 1024
)

// Store is an open directory of blobs: <directory>/<random> for each, and tmp for
// those being written.
type Store struct {
	path       string
	claim      *directory.Claim
	operations operations
	space      *space
	names      *directorySync
	closed     atomic.Bool

	mu   sync.Mutex
	made map[string]error // directories of locators: nil once durable
}

// open claims the directory and removes what writes left that never ended.
func open(path string, reserve int64, log *slog.Logger, operations operations) (*Store, error) {
	claim, err := operations.take(path)
	if err != nil {
		// The format mark of a new store may not fit any more.
		return nil, noSpace(err)
	}
	s := &Store{
		path:       claim.Path,
		claim:      claim,
		operations: operations,
		space:      &space{path: claim.Path, free: operations.free},
		names:      newDirectorySync(operations.syncDirectory),
		made:       make(map[string]error),
	}
	s.space.reserve.Store(reserve)
	if err := s.prepare(log); err != nil {
		return nil, errors.Join(err, claim.Release())
	}
	return s, nil
}

func (s *Store) prepare(log *slog.Logger) error {
	temporary := filepath.Join(s.path, temporaryDirectory)
	left, err := os.ReadDir(temporary)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading uploads: %w", err)
	}
	if len(left) > 0 {
		log.Info("removing uploads that never ended", slog.Int("count", len(left)))
	}
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("removing uploads that never ended: %w", err)
	}
	if err := os.Mkdir(temporary, directoryPermissions); err != nil {
		return fmt.Errorf("making directory of uploads: %w", noSpace(err))
	}
	if err := s.removeEmpty(); err != nil {
		return err
	}
	return s.checkSpace()
}

// checkSpace reports ErrNoSpace when not even the reserve is free: deletes would
// make room, but metadata is likely on the same disk and cannot be opened.
func (s *Store) checkSpace() error {
	free, err := s.operations.free(s.path)
	if err != nil {
		return fmt.Errorf("asking for free space: %w", err)
	}
	if reserve := s.space.reserve.Load(); free < uint64(reserve) {
		return fmt.Errorf("%w: %s has %s, its reserve is %s", registry.ErrNoSpace, s.path, humanize.IBytes(free), humanize.IBytes(uint64(reserve)))
	}
	return nil
}

// removeEmpty removes directories without blobs. Only here, where nobody writes.
func (s *Store) removeEmpty() error {
	directories, err := s.directories()
	if err != nil {
		return err
	}
	for _, name := range directories {
		// Fails for those that are not empty, which is how they stay.
		_ = os.Remove(filepath.Join(s.path, name))
	}
	return nil
}

// directories returns the names of the directories of locators.
func (s *Store) directories() ([]string, error) {
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, fmt.Errorf("reading directories: %w", err)
	}
	var names []string
	for _, entry := range entries {
		_, _, err := registry.Locator(entry.Name() + "/x").Split()
		if entry.IsDir() && !isReserved(entry.Name()) && err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return fmt.Errorf("%w: closed", registry.ErrUnavailable)
	}
	return ctx.Err()
}

// find returns the file name of a locator.
func (s *Store) find(ctx context.Context, locator registry.Locator) (string, error) {
	if err := s.usable(ctx); err != nil {
		return "", err
	}
	directory, name, err := split(locator)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.path, directory, name), nil
}

// isReserved tells whether a directory has the form of a locator's and is not one.
func isReserved(directory string) bool {
	return directory == temporaryDirectory || directory == quarantineDirectory
}

// split returns the parts of a locator that may be followed: what is in a reserved
// directory is not committed, or not good.
func split(locator registry.Locator) (directory, name string, err error) {
	directory, name, err = locator.Split()
	if err == nil && isReserved(directory) {
		err = fmt.Errorf("locator %q names no blob: %w", string(locator), registry.ErrDamaged)
	}
	return directory, name, err
}

// Open implements registry.BlobStore. What it returns is an *os.File, so that the
// kernel can send it.
func (s *Store) Open(ctx context.Context, locator registry.Locator, size int64) (io.ReadSeekCloser, error) {
	name, err := s.find(ctx, locator)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", notFound(err))
	}
	info, err := file.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%w: blob %s has %d bytes, not %d", registry.ErrDamaged, locator, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Stat implements registry.BlobStore.
func (s *Store) Stat(ctx context.Context, locator registry.Locator) (int64, error) {
	name, err := s.find(ctx, locator)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0, fmt.Errorf("asking for file: %w", notFound(err))
	}
	return info.Size(), nil
}

// Delete implements registry.BlobStore.
func (s *Store) Delete(ctx context.Context, locator registry.Locator) error {
	name, err := s.find(ctx, locator)
	if err != nil {
		return err
	}
	if err := s.operations.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing file: %w", err)
	}
	return nil
}

// Quarantine implements registry.BlobStore.
func (s *Store) Quarantine(ctx context.Context, locator registry.Locator) error {
	name, err := s.find(ctx, locator)
	if err != nil {
		return err
	}
	quarantine := filepath.Join(s.path, quarantineDirectory)
	if err := s.makeDirectory(quarantine); err != nil {
		return err
	}
	aside := filepath.Join(quarantine, strings.ReplaceAll(string(locator), "/", "-"))
	err = s.operations.rename(name, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("renaming file: %w", err)
	}
	return s.names.wait(quarantine)
}

// Condition implements registry.BlobStore.
func (s *Store) Condition() registry.Condition {
	if err := s.usable(context.Background()); err != nil {
		return registry.Condition{Fault: err}
	}
	condition := registry.Condition{Readable: true}
	free, err := s.operations.free(s.path)
	if err != nil {
		condition.Fault = fmt.Errorf("asking for free space: %w", err)
	}
	condition.Space = registry.Space{Free: free, Reserve: uint64(s.space.reserve.Load())}
	return condition
}

// Bind implements registry.BlobStore.
func (s *Store) Bind(ctx context.Context, metadataID string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	name := filepath.Join(s.path, bindingFile)
	bound, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return noSpace(disk.WriteFile(disk.OS{}, name, metadataID+"\n"))
	}
	if err != nil {
		return fmt.Errorf("reading binding: %w", err)
	}
	if strings.TrimSpace(string(bound)) != metadataID {
		return fmt.Errorf("%w: the blobs in %s are of another metadata store; use that one, or an empty directory for blobs", registry.ErrMismatch, s.path)
	}
	return nil
}

// Walk implements registry.BlobStore.
func (s *Store) Walk(ctx context.Context, fn func(registry.Locator, int64, time.Time) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	directories, err := s.directories()
	if err != nil {
		return err
	}
	for _, name := range directories {
		if err := s.walkDirectory(ctx, name, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) walkDirectory(ctx context.Context, name string, fn func(registry.Locator, int64, time.Time) error) error {
	directory, err := os.Open(filepath.Join(s.path, name))
	if err != nil {
		return fmt.Errorf("opening directory: %w", err)
	}
	defer directory.Close()
	for {
		entries, err := directory.ReadDir(walkChunk)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading directory: %w", err)
		}
		for _, entry := range entries {
			if err := s.usable(ctx); err != nil {
				return err
			}
			if err := visit(registry.Locator(name+"/"+entry.Name()), entry, fn); err != nil {
				return err
			}
		}
	}
}

// visit calls fn for one entry, unless it is no blob or has just been deleted.
func visit(locator registry.Locator, entry fs.DirEntry, fn func(registry.Locator, int64, time.Time) error) error {
	if _, _, err := locator.Split(); err != nil || !entry.Type().IsRegular() {
		return nil
	}
	info, err := entry.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for file: %w", err)
	}
	return fn(locator, info.Size(), info.ModTime())
}

// Close implements registry.BlobStore. Closing twice is harmless.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.claim.Release()
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", registry.ErrBlobNotFound, err)
	}
	return err
}

var _ registry.BlobStore = (*Store)(nil)
