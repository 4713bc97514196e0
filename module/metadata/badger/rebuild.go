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

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// remake makes a damaged database anew from the journal, once all of that has been
// read and found good.
func (p *place) remake(ctx context.Context, j *journal.Journal, damage error) (*opened, error) {
	waiting.ReportProgress(ctx, waiting.Progress{Doing: "reading the journal, to see whether it can replace a damaged database"})
	if err := p.verifyOnce(ctx, j); err != nil {
		if !errors.Is(err, store.ErrDamaged) || ctx.Err() != nil {
			return nil, fmt.Errorf("%w: reading the journal to replace a damaged database: %w", store.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("%w; the journal cannot replace it: %w; restore a backup", damage, err)
	}
	return p.replace(ctx, j, damage)
}

// replace makes the database anew from a journal that was found good.
func (p *place) replace(ctx context.Context, j *journal.Journal, damage error) (*opened, error) {
	if errors.Is(damage, errAsked) {
		p.log.Info("rebuilding the database from the journal")
	} else {
		p.log.Error("the database is damaged; rebuilding it from the journal", slog.Any("damage", damage))
	}
	var aside string
	var err error
	if errors.Is(damage, errUnfinished) {
		err = p.removeDatabase()
	} else {
		aside, err = p.putAside()
	}
	if err != nil {
		return nil, err
	}
	o, err := p.openOver(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("rebuilding the database: %w", err)
	}
	p.log.Warn("the database is rebuilt; the old one was moved aside and can be deleted",
		slog.String("aside", aside), slog.Uint64("changes", j.Position().Sequence))
	return o, nil
}

// errAsked: an administrator wants the database made anew.
var errAsked = errors.New("asked for")

// removeDatabase removes a database that has nothing of its own, the manifest first: what
// a crash leaves then is no database that could be opened.
func (p *place) removeDatabase() error {
	names, err := databaseFiles(p.path())
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
func (p *place) verifyOnce(ctx context.Context, j *journal.Journal) error {
	files, err := journal.Size(p.journalPath())
	if err != nil {
		return err
	}
	if known, ok := unreadable.Load(p.journalPath()); ok && known.(unreadableJournal).files == files {
		return known.(unreadableJournal).err
	}
	err = verifyStart(ctx, j)
	if errors.Is(err, store.ErrDamaged) {
		unreadable.Store(p.journalPath(), unreadableJournal{files, err})
	} else {
		unreadable.Delete(p.journalPath())
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
		mark, err := j.ReadCheckpoint(ctx, start, nothing)
		if err != nil {
			return err
		}
		from = mark.At
	}
	err = j.Read(ctx, from, j.Position().Sequence, func([]byte, store.Change, store.Digest) error { return nil })
	if errors.Is(err, store.ErrNotContinued) || errors.Is(err, journal.ErrHistories) {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// putAside moves Badger's files into a directory of their own. A crash in between
// leaves tables without a manifest, which is damage again.
func (p *place) putAside() (aside string, err error) {
	names, err := databaseFiles(p.path())
	if err != nil {
		return "", err
	}
	aside, err = p.makeAside()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if err := p.fsys.Rename(name, filepath.Join(aside, filepath.Base(name))); err != nil {
			return "", fmt.Errorf("putting the database aside: %w", err)
		}
	}
	return aside, firstError(
		func() error { return p.fsys.SyncDirectory(aside) },
		func() error { return p.fsys.SyncDirectory(p.path()) },
	)
}

// remakeJournal makes the journal anew from the database, beside the old one first.
func (p *place) remakeJournal(ctx context.Context, before func(context.Context, *opened) error) error {
	o, err := p.openDatabase(ctx)
	if err != nil {
		return err
	}
	err = p.writeJournal(ctx, o, before)
	if err = errors.Join(err, o.closeDatabase(ctx)); err != nil {
		return fmt.Errorf("rebuilding the journal: %w", err)
	}
	return nil
}

// writeJournal makes a journal of a checkpoint of what there is, at the position that the
// database has, after something else is done with a database that is good.
func (p *place) writeJournal(ctx context.Context, o *opened, before func(context.Context, *opened) error) error {
	known, err := o.read()
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: there is no database in %s", store.ErrDamaged, p.path())
	}
	if o.nextID > 1 && o.state.position.Sequence == 0 {
		return errUnfinished
	}
	if o.state != (stateRecord{}) {
		if err := o.checkAll(ctx); err != nil {
			return err
		}
	}
	if err := before(ctx, o); err != nil {
		return err
	}
	unfinished := disk.Temporary(p.journalPath())
	if o.journal, err = p.createJournal(unfinished, o.id); err != nil {
		return err
	}
	if o.state.position.Sequence > 0 {
		err = firstError(func() error {
			_, err := o.journal.WriteCheckpoint(o.mark(), func(tell func(store.Change) error) error {
				return tellAll(ctx, o.state, o.db.view, tell)
			})
			return err
		}, func() error { return o.journal.StartAfter(o.state.position) })
	}
	if err = errors.Join(err, o.journal.Close()); err != nil {
		return err
	}
	return p.replaceJournal(unfinished)
}

// mark is what a checkpoint of the database stands for.
func (o *opened) mark() store.CheckpointMark {
	return store.CheckpointMark{At: o.state.position, NextID: o.nextID}
}

// takeFromOld brings the database to where the old journal is, as far as that is whole:
// a crash leaves the database behind it.
func (p *place) takeFromOld(ctx context.Context, o *opened) error {
	r := replay{opened: o}
	from := o.state.position
	_, left, err := journal.Salvage(p.journalPath(), o.id, from, func(line []byte, change store.Change, chain store.Digest) error {
		return firstError(ctx.Err, func() error { return r.take(ctx, line, change, chain) }, r.flush)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if taken := o.state.position.Sequence - from.Sequence; taken > 0 {
		p.log.Warn("the database was behind its journal; the changes it lacked are made again", slog.Uint64("changes", taken))
	}
	if err = errors.Join(err, left); err != nil {
		p.log.Error("the old journal may have changes that cannot be taken from it: keep it",
			slog.Uint64("after", o.state.position.Sequence), slog.Any("error", err))
	}
	return nil
}

// createJournal makes a journal that does not count yet.
func (p *place) createJournal(unfinished, id string) (*journal.Journal, error) {
	if err := os.RemoveAll(unfinished); err != nil {
		return nil, fmt.Errorf("removing an unfinished journal: %w", err)
	}
	return journal.Create(unfinished, id, p.journalOptions())
}

func (p *place) replaceJournal(by string) error {
	if _, err := os.Stat(p.journalPath()); err == nil {
		aside, err := p.makeAside()
		if err != nil {
			return err
		}
		if err := p.fsys.Rename(p.journalPath(), filepath.Join(aside, journalDirectory)); err != nil {
			return fmt.Errorf("putting the journal aside: %w", err)
		}
		p.log.Warn("the old journal is put aside", slog.String("aside", aside))
	}
	if err := disk.Place(p.fsys, by, p.journalPath()); err != nil {
		return fmt.Errorf("naming the journal: %w", err)
	}
	return nil
}

// ImportJournal implements store.JournalBackend.
func (b *Backend) ImportJournal(ctx context.Context, root, id string, lines io.Reader, log *slog.Logger) error {
	return b.offline(root, log, func(p *place) error {
		if err := p.checkNew(); err != nil {
			return err
		}
		unfinished := disk.Temporary(p.journalPath())
		j, err := p.createJournal(unfinished, id)
		if err != nil {
			return err
		}
		if err := errors.Join(j.Import(ctx, lines), j.Close()); err != nil {
			return err
		}
		return p.replaceJournal(unfinished)
	})
}

// checkNew reports what an import would mix itself with. ErrFormat.
func (p *place) checkNew() error {
	found, err := databaseFiles(p.path())
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.journalPath()); err == nil || len(found) > 0 {
		return fmt.Errorf("%w: %s is in use already; use an empty directory", store.ErrFormat, p.path())
	}
	return nil
}

// Rebuild implements store.JournalBackend. Where the journal is damaged and the
// database is whole, the journal is made anew instead.
func (b *Backend) Rebuild(ctx context.Context, root string, log *slog.Logger) error {
	return b.offline(root, log, func(p *place) error {
		j, err := journal.Open(p.journalPath(), p.journalOptions())
		if err == nil {
			err = p.verifyOnce(ctx, j)
		}
		if errors.Is(err, store.ErrDamaged) {
			return p.rescueJournal(ctx, p.journalFault(err))
		}
		if err != nil {
			return p.journalFault(err)
		}
		o, err := p.replace(ctx, j, errAsked)
		if err != nil {
			return err
		}
		return o.close(ctx)
	})
}

// rescueJournal makes the journal anew that cannot make the database anew.
func (p *place) rescueJournal(ctx context.Context, damage error) error {
	p.log.Error("the journal cannot make the database anew; making it anew from the database, if that is whole", slog.Any("error", damage))
	if err := p.remakeJournal(ctx, p.takeFromOld); err != nil {
		return fmt.Errorf("%w; the database cannot make the journal anew either: %w", damage, err)
	}
	return nil
}

// RebuildJournal implements store.JournalBackend.
func (b *Backend) RebuildJournal(ctx context.Context, root string, log *slog.Logger) error {
	return b.offline(root, log, func(p *place) error { return p.remakeJournal(ctx, p.takeFromOld) })
}

// offline claims a store and does something with it that no server may see.
func (b *Backend) offline(root string, log *slog.Logger, do func(*place) error) error {
	p, err := take(b.dir(root), b.Reserve, log, disk.OS{})
	if err != nil {
		return err
	}
	return p.release(do(p))
}

var _ store.JournalBackend = (*Backend)(nil)
