package badger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/generic-registry/caddy-generic-registry/module/directory"
	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// remake makes a damaged database anew from the journal, once all of that has been
// read and found good.
func (h *home) remake(ctx context.Context, j *journal.Journal, damage error) (*opened, error) {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "reading the journal, to see whether it can replace a damaged database"})
	if err := h.verifyOnce(ctx, j); err != nil {
		if !errors.Is(err, store.ErrDamaged) || disk.IsRefusal(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("%w: reading the journal to replace a damaged database: %w", store.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("%w; the journal cannot replace it: %w; restore a backup", damage, err)
	}
	return h.replace(ctx, j, damage)
}

// replace makes the database anew from a journal that was found good.
func (h *home) replace(ctx context.Context, j *journal.Journal, damage error) (*opened, error) {
	if errors.Is(damage, errAsked) {
		h.log.Info("rebuilding the database from the journal")
	} else {
		h.log.Error("the database is damaged; rebuilding it from the journal", slog.Any("damage", damage))
	}
	var aside string
	var err error
	if errors.Is(damage, errUnfinished) {
		err = h.removeDatabase()
	} else {
		aside, err = h.putAside()
	}
	if err != nil {
		return nil, err
	}
	if err := h.removeAsides(); err != nil { // the new database may need their room
		h.log.Warn("what was put aside stays", slog.Any("error", err))
	}
	o, err := h.openOver(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("rebuilding the database: %w", err)
	}
	h.log.Warn("the database is rebuilt; the old one, where there was one, was moved aside and can be deleted",
		slog.String("aside", aside), slog.Uint64("changes", j.Position().Sequence))
	return o, nil
}

// errAsked: an administrator wants the database made anew, or the journal.
var errAsked = errors.New("asked for")

// removeDatabase removes a database that has nothing of its own, the manifest first: what
// a crash leaves then is no database that could be opened.
func (h *home) removeDatabase() error {
	names, err := databaseFiles(h.path(), allFiles...)
	for _, name := range names {
		if err == nil {
			err = os.Remove(name)
		}
	}
	return err
}

// unreadable are the journals of this process that could not replace a database, and why:
// each by its path, as it was then. Who tries again reads them again when they have changed.
var unreadable sync.Map

type unreadableJournal struct {
	files string
	err   error
}

// verifyOnce reads all that a database is made from.
func (h *home) verifyOnce(ctx context.Context, j *journal.Journal) error {
	files, err := journal.Size(h.journalPath())
	if err != nil {
		return err
	}
	if known, ok := unreadable.Load(h.journalPath()); ok && known.(unreadableJournal).files == files {
		return known.(unreadableJournal).err
	}
	err = verifyStart(ctx, j)
	if errors.Is(err, store.ErrDamaged) && !disk.IsRefusal(err) {
		unreadable.Store(h.journalPath(), unreadableJournal{files, err})
	} else {
		unreadable.Delete(h.journalPath())
	}
	return err
}

// verifyStart reads the newest checkpoint that is whole, and what follows it.
func verifyStart(ctx context.Context, j *journal.Journal) error {
	start, found, err := j.Start(ctx, j.Position().Sequence)
	if err != nil {
		return err
	}
	var from store.Position
	if found {
		nothing := func([]byte, store.Change) error { return nil }
		head, err := j.ReadCheckpoint(ctx, start, nothing)
		if err != nil {
			return err
		}
		from = head.At
	}
	err = j.Read(ctx, from, j.Position().Sequence, func([]byte, store.Change, store.Digest) error { return nil })
	if errors.Is(err, store.ErrNotContinued) || errors.Is(err, journal.ErrHistories) {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// putAside moves Badger's files into a directory of their own. A crash in between
// leaves tables without a manifest, which is damage again.
func (h *home) putAside() (aside string, err error) {
	names, err := databaseFiles(h.path(), allFiles...)
	if err != nil || len(names) == 0 {
		return "", err
	}
	aside, err = h.makeAside()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if err := h.fsys.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			return aside, fmt.Errorf("putting the database aside: %w", err)
		}
	}
	return aside, firstError(
		func() error { return h.fsys.SyncDirectory(aside) },
		func() error { return h.fsys.SyncDirectory(h.path()) },
	)
}

// ImportJournal implements store.JournalBackend.
func (b *Backend) ImportJournal(ctx context.Context, root, id string, lines io.Reader, log *slog.Logger) error {
	return b.offline(root, log, func(h *home) error {
		if err := h.checkNew(); err != nil {
			return err
		}
		unfinished := disk.Temporary(h.journalPath())
		j, err := h.createJournal(unfinished, id)
		if err != nil {
			return err
		}
		if err := errors.Join(j.Import(ctx, lines), j.Close()); err != nil {
			return err
		}
		return h.replaceJournal(unfinished)
	})
}

// checkNew reports what an import would mix itself with. ErrFormat.
func (h *home) checkNew() error {
	found, err := databaseFiles(h.path(), allFiles...)
	if err != nil {
		return err
	}
	if _, err := os.Stat(h.journalPath()); err == nil || len(found) > 0 {
		return fmt.Errorf("%w: %s is in use already; use an empty directory", store.ErrFormat, h.path())
	}
	return nil
}

// Rebuild implements store.JournalBackend. Where the journal is damaged and the
// database is whole, the journal is made anew instead. Where the journal is whole and lacks
// changes that the database has, both stay as they are.
func (b *Backend) Rebuild(ctx context.Context, root string, log *slog.Logger) error {
	return b.offline(root, log, func(h *home) error {
		j, err := journal.Open(h.journalPath(), h.journalOptions())
		if err == nil {
			err = h.verifyOnce(ctx, j)
		}
		if errors.Is(err, store.ErrDamaged) {
			return h.rescueJournal(ctx, h.journalFault(err))
		}
		if err != nil {
			return h.journalFault(err)
		}
		if err := h.checkNotAhead(ctx, j); err != nil {
			return err
		}
		o, err := h.replace(ctx, j, errAsked)
		if err != nil {
			return err
		}
		return o.close(ctx)
	})
}

// checkNotAhead returns an error when a database that can be read has more changes than its
// journal, because nothing else has them, and when that cannot be known for want of something
// that is not the database's fault. A database over which Badger breaks down is moved, also with
// an error: another process has to go on.
func (h *home) checkNotAhead(ctx context.Context, j *journal.Journal) error {
	names, err := databaseFiles(h.path(), allFiles...)
	if err != nil || len(names) == 0 {
		return err
	}
	err = firstError(h.space.forOpening, func() error { return h.descriptors.ForOpening(h.path()) }, func() error { return areWritable(names) })
	if err != nil {
		return err // a new database would not open either
	}
	o, err := h.openDatabase(ctx)
	if err := directory.Full(err); errors.Is(err, store.ErrNoSpace) {
		return err
	}
	var ahead error
	if err == nil {
		o.journal = j
		if _, err := o.read(); err == nil && o.id == j.Store() && o.state.position.Sequence > j.Position().Sequence {
			_, ahead = o.isBehind()
		}
		err = o.closeDatabase(ctx)
	}
	if err != nil {
		h.log.Warn("the database does not open, or not close: it is replaced", slog.Any("error", err))
	}
	if ahead != nil || !h.stuck.Load() {
		return ahead
	}
	aside, err := h.putAside()
	return errors.Join(err, fmt.Errorf("the database is in %s now, because Badger broke down over it: run the command again", aside))
}

// areWritable opens files as Badger does, whose errors do not tell why it could not. What the
// disk cannot read is the fault of the database.
func areWritable(names []string) error {
	for _, name := range names {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if err == nil {
			err = file.Close()
		}
		if err != nil && !errors.Is(err, syscall.EIO) {
			return directory.OrPermission(fmt.Errorf("opening the database: %w", err))
		}
	}
	return nil
}

// RebuildJournal implements store.JournalBackend.
func (b *Backend) RebuildJournal(ctx context.Context, root string, log *slog.Logger) error {
	return b.offline(root, log, func(h *home) error { return h.remakeJournal(ctx, errAsked) })
}

// offline claims a store and does something with it that no server may see.
func (b *Backend) offline(root string, log *slog.Logger, do func(*home) error) error {
	h, err := take(b.dir(root), b.Reserve, log, disk.OS{}, b.carrier)
	if err != nil {
		return err
	}
	return h.release(do(h))
}

var _ store.JournalBackend = (*Backend)(nil)
