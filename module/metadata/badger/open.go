package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dustin/go-humanize"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

const (
	layout        = "generic_registry metadata badger"
	layoutVersion = 1

	memTableSize = 8 << 20
)

// databaseOptions are small on purpose: millions of files are a few hundred
// megabytes of metadata, and the process has other work.
func databaseOptions(path string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(path).
		WithLogger(databaseLog{log}).
		// Off by default; without it a power cut loses what was acknowledged.
		WithSyncWrites(true).
		// Damage is found when a table is read, not passed on.
		WithChecksumVerificationMode(options.OnTableRead).
		// One committer writes: there is nothing to detect.
		WithDetectConflicts(false).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumCompactors(2).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(4 << 20).
		WithValueLogFileSize(16 << 20).
		WithMetricsEnabled(false)
}

// open claims the directory and opens the database in it. Without room it does
// not even try: Badger would kill the process.
func open(path string, reserve int64, log *slog.Logger) (*Store, error) {
	claim, err := directory.Take(path, layout, layoutVersion)
	if err != nil {
		return nil, err
	}
	s, err := openClaimed(claim, reserve, log)
	if err != nil {
		return nil, errors.Join(err, claim.Release())
	}
	return s, nil
}

func openClaimed(claim *directory.Claim, reserve int64, log *slog.Logger) (*Store, error) {
	if err := checkSpace(claim.Path, reserve); err != nil {
		return nil, err
	}
	if err := checkManifest(claim.Path); err != nil {
		return nil, err
	}
	if err := removeEmptyFiles(claim.Path, log); err != nil {
		return nil, err
	}
	db, err := badger.Open(databaseOptions(claim.Path, log))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("opening database in %s: %w", claim.Path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: opening database in %s: %w", registry.ErrDamaged, claim.Path, err)
	}
	s := newStore(claim, db, log)
	s.reserve.Store(reserve)
	if err := firstError(s.identify, s.load); err != nil {
		return nil, errors.Join(fmt.Errorf("loading database in %s: %w", claim.Path, err), db.Close())
	}
	s.committing.Go(s.commitLoop)
	return s, nil
}

// checkManifest refuses tables without a manifest: Badger would take the database
// for an empty one and delete them.
func checkManifest(path string) error {
	_, err := os.Stat(filepath.Join(path, badger.ManifestFilename))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, pattern := range []string{"*.sst", "*.vlog", "*.mem"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return fmt.Errorf("looking for tables: %w", err)
		}
		if len(found) > 0 {
			return fmt.Errorf("%w: %s has tables but no %s", registry.ErrDamaged, path, badger.ManifestFilename)
		}
	}
	return nil
}

// removeEmptyFiles removes memtables and value logs without a byte: a crash
// between making one and sizing it leaves them, and Badger refuses to open.
func removeEmptyFiles(path string, log *slog.Logger) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		found, err := filepath.Glob(filepath.Join(path, pattern))
		if err != nil {
			return fmt.Errorf("looking for empty files: %w", err)
		}
		for _, name := range found {
			info, err := os.Stat(name)
			if err != nil {
				return fmt.Errorf("looking for empty files: %w", err)
			}
			if info.Size() > 0 {
				continue
			}
			log.Info("removing an empty file that a crash left", slog.String("name", filepath.Base(name)))
			if err := os.Remove(name); err != nil {
				return fmt.Errorf("removing an empty file: %w", err)
			}
		}
	}
	return nil
}

func checkSpace(path string, reserve int64) error {
	free, err := disk.Free(path)
	if err != nil {
		return fmt.Errorf("asking for free space: %w", err)
	}
	if free < uint64(reserve) {
		return fmt.Errorf("%w: %s has %s, its reserve is %s", registry.ErrNoSpace, path, humanize.IBytes(free), humanize.IBytes(uint64(reserve)))
	}
	return nil
}

// databaseLog passes Badger's messages on. Its Info is for developers.
type databaseLog struct{ log *slog.Logger }

func (l databaseLog) Errorf(format string, args ...any) {
	l.log.Error("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Warningf(format string, args ...any) {
	l.log.Warn("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l databaseLog) Debugf(format string, args ...any) {
	l.log.Debug("badger", slog.String("message", fmt.Sprintf(format, args...)))
}
