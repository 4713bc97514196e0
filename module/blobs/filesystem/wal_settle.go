package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// finish makes the files of a segment durable and removes it. If it cannot, the segment
// stays, and its files are written again before they are synced again: a second sync may
// succeed although the first one lost something.
func (l *wal) finish(s *segment) {
	l.settling.Lock()
	defer l.settling.Unlock()
	defer store.Attend(l.log, "making small files durable")()
	err := s.end()
	if err == nil {
		err = l.settle(s.locators)
	}
	if err == nil && l.hasFailedSince(s.epoch) {
		err = errEpoch
	}
	if err == nil {
		err = l.discard(s.path)
	}
	if err != nil {
		l.left = append(l.left, s.path)
	}
	if err != nil && !errors.Is(err, errEpoch) {
		l.log.Error("small files could not be synced; they stay in the log, and are written again", slog.Any("error", err))
		l.retryLater()
		return
	}
	if err := l.heal(); err != nil {
		l.log.Error("small files could not be written again; they stay in the log", slog.Any("error", err))
	}
}

var errEpoch = errors.New("a sync failed meanwhile, and may have lost it")

// hasFailedSince tells whether a sync failed after an epoch, once those that began
// before the call have ended: they may have lost what one that ended sooner did not have
// to sync any more.
func (l *wal) hasFailedSince(epoch uint64) bool {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	return l.epoch.Load() > epoch
}

// confirm makes a name durable that was given after an epoch. A sync that failed since may
// have lost it: the next one then had nothing to do any more, and succeeds. Those of one
// directory follow each other, and a failure is counted before the next begins. (One of
// the whole file system that is under way is not waited for: what it loses of a directory
// Linux reports to the next sync of that one too.)
func (s *Store) confirm(folder string, epoch uint64) error {
	if err := s.names.wait(folder); err != nil {
		return err
	}
	if s.wal.epoch.Load() > epoch {
		return errEpoch
	}
	return nil
}

// syncNames makes the names in a directory durable. If it cannot, those of small files
// that were written ahead may be among the lost.
func (s *Store) syncNames(directory string) error {
	s.wal.syncing.RLock()
	defer s.wal.syncing.RUnlock()
	err := s.fsys.SyncDirectory(directory)
	if err != nil {
		s.wal.epoch.Add(1)
	}
	return err
}

// discard removes a segment that is settled. Requires l.settling.
func (l *wal) discard(segment string) error {
	if err := removeSegment(l.fsys, segment); err != nil {
		return err
	}
	l.unsettled.Add(-1)
	return nil
}

// removeSegment empties a segment, durably, before it removes its name: that comes back
// when a sync of the names fails, whatever the next one says, and files that were put
// aside or deleted must not come back with it. One that is not there is not missed.
func removeSegment(fsys disk.FS, segment string) error {
	err := empty(fsys, segment)
	if err == nil {
		err = fsys.Remove(segment)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing segment of the log: %w", directory.Full(err))
	}
	return nil
}

func empty(fsys disk.FS, name string) error {
	file, err := fsys.Append(name)
	if err != nil {
		return err
	}
	err = file.Truncate(0)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// heal settles the segments that could not be. Requires l.settling.
func (l *wal) heal() error {
	for len(l.left) > 0 {
		epoch := l.epoch.Load()
		err := l.rewrite(l.left[0])
		if err == nil && l.hasFailedSince(epoch) {
			err = errEpoch
		}
		if err == nil {
			err = l.discard(l.left[0])
		}
		if err != nil {
			l.retryLater()
			return err
		}
		l.left = l.left[1:]
		l.log.Info("small files that could not be synced are written again")
	}
	return nil
}

// retryLater requires l.settling.
func (l *wal) retryLater() {
	if l.retry != nil {
		l.retry.Stop()
	}
	l.retry = time.AfterFunc(l.limits.age, func() {
		l.settling.Lock()
		defer l.settling.Unlock()
		if l.retired {
			return
		}
		if err := l.heal(); err != nil {
			l.log.Error("small files could not be written again; they stay in the log", slog.Any("error", err))
		}
	})
}

// drain settles all that is in the log. When it returns nil no opening of the store will
// write any of it again.
func (l *wal) drain() error {
	defer l.takeTurn()()
	if l.segment != nil {
		l.seal()
	}
	l.background.Wait()
	l.settling.Lock()
	defer l.settling.Unlock()
	if err := l.heal(); err != nil {
		return err
	}
	if err := l.fsys.SyncDirectory(l.path); err != nil {
		return fmt.Errorf("emptying the log: %w", directory.Full(err))
	}
	return nil
}

// retire tries for the last time to settle what is left. What cannot be is written out
// when the store is opened again.
func (l *wal) retire() {
	l.settling.Lock()
	defer l.settling.Unlock()
	l.retired = true
	if err := l.heal(); err != nil {
		l.log.Error("small files could not be written again; they are when the store is opened again", slog.Any("error", err))
	}
	if l.retry != nil {
		l.retry.Stop()
	}
}

// settle makes files durable, with their names: all at once where the file system can do
// that. Those that are gone are not missed.
func (s *Store) settle(locators []store.Locator) error {
	if len(locators) == 0 {
		return nil
	}
	err := s.syncAll(locators)
	if err != nil {
		s.wal.epoch.Add(1)
	}
	return err
}

func (s *Store) syncAll(locators []store.Locator) error {
	if s.volume != nil {
		return directory.Full(s.volume.Sync())
	}
	var folders []string
	for _, locator := range locators {
		place, err := s.place(locator)
		if err != nil {
			return err
		}
		if err := s.syncFile(place); err != nil {
			return fmt.Errorf("syncing file: %w", directory.Full(err))
		}
		if folder := filepath.Dir(place); !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	for _, folder := range folders {
		if err := s.names.wait(folder); err != nil {
			return directory.Full(err)
		}
	}
	return nil
}

func (s *Store) syncFile(place string) error {
	file, err := s.fsys.Append(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
