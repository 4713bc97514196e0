package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// remakeJournal makes the journal anew from the database, beside the old one first.
func (h *home) remakeJournal(ctx context.Context, damage error) error {
	o, err := h.openDatabase(ctx)
	if err != nil {
		return err
	}
	err = h.writeJournal(ctx, o, damage)
	if err = errors.Join(err, o.closeDatabase(ctx)); err != nil {
		return fmt.Errorf("rebuilding the journal: %w", err)
	}
	return nil
}

// writeJournal makes a journal of a checkpoint of what there is, at the position that the
// database has once it has taken the changes that the old journal has.
func (h *home) writeJournal(ctx context.Context, o *opened, damage error) error {
	known, err := o.read()
	if err != nil {
		return err
	}
	if !known {
		return fmt.Errorf("%w: there is no database in %s", store.ErrDamaged, h.path())
	}
	if o.nextID > 1 && o.state.position.Sequence == 0 {
		return errUnfinished
	}
	if o.state != (stateRecord{}) {
		if err := o.checkAll(ctx); err != nil {
			return err
		}
	}
	if err := h.takeFromOld(ctx, o, damage); err != nil {
		return err
	}
	unfinished := disk.Temporary(h.journalPath())
	if o.journal, err = h.createJournal(unfinished, o.id); err != nil {
		return err
	}
	if o.state.position.Sequence > 0 {
		err = firstError(func() error {
			_, err := o.journal.WriteCheckpoint(o.checkpointHead(), func(tell func(store.Change) error) error {
				return tellAll(ctx, o.state, o.db.view, tell)
			})
			return err
		}, func() error { return o.journal.StartAfter(o.state.position) })
	}
	if err = errors.Join(err, o.journal.Close()); err != nil {
		return err
	}
	return h.replaceJournal(unfinished)
}

// checkpointHead is what a checkpoint of the database stands for.
func (o *opened) checkpointHead() store.CheckpointHead {
	return store.CheckpointHead{At: o.state.position, NextID: o.nextID}
}

// takeFromOld brings the database to where the old journal is with the lines of the carrier, as
// far as that is whole: a crash leaves the database behind it. What cannot be read now may be
// whole, and is left out only when an administrator asks for that.
func (h *home) takeFromOld(ctx context.Context, o *opened, damage error) error {
	r := replay{opened: o}
	from := o.state.position
	carried, err := h.carried(o, damage)
	if err != nil {
		return fmt.Errorf("%w: asking for lines that the old journal may lack: %w", store.ErrUnavailable, err)
	}
	_, left, err := journal.Salvage(h.journalPath(), o.id, from, carried, func(line []byte, change store.Change, chain store.Digest) error {
		return firstError(ctx.Err, func() error { return r.take(ctx, line, change, chain) }, r.flush)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if taken := o.state.position.Sequence - from.Sequence; taken > 0 {
		h.log.Warn("the database was behind its journal; the changes it lacked are made again", slog.Uint64("changes", taken))
	}
	err = errors.Join(err, left)
	if errors.Is(err, store.ErrNoSpace) || disk.IsRefusal(err) && !errors.Is(damage, errAsked) {
		return fmt.Errorf("%w: taking changes from the old journal: %w", store.ErrUnavailable, err)
	}
	if err != nil {
		h.log.Error("the old journal may have changes that cannot be taken from it: keep it",
			slog.Uint64("after", o.state.position.Sequence), slog.Any("error", err))
	}
	return nil
}

// carried returns the lines of the carrier. An administrator may do without those that it cannot
// read: it forgets them, if it cannot read them again.
func (h *home) carried(o *opened, damage error) ([]byte, error) {
	if h.carrier == nil {
		return nil, nil
	}
	lines, err := h.carrier.Carried(o.id, o.state.position.Sequence, h.journalPath())
	if errors.Is(err, store.ErrUnavailable) && errors.Is(damage, errAsked) {
		h.log.Warn("lines of the journal that are among the small files cannot be read; they are read once more", slog.Any("error", err))
		if err = h.carrier.Forget(); err == nil {
			lines, err = h.carrier.Carried(o.id, o.state.position.Sequence, h.journalPath())
		}
	}
	return lines, err
}

// createJournal makes a journal that does not count yet.
func (h *home) createJournal(unfinished, id string) (*journal.Journal, error) {
	if err := os.RemoveAll(unfinished); err != nil {
		return nil, fmt.Errorf("removing an unfinished journal: %w", err)
	}
	return journal.Create(unfinished, id, h.journalOptions())
}

func (h *home) replaceJournal(by string) error {
	if _, err := os.Stat(h.journalPath()); err == nil {
		aside, err := h.makeAside()
		if err != nil {
			return err
		}
		if err := h.fsys.Rename(h.journalPath(), filepath.Join(aside, journalDirectory)); err != nil {
			return fmt.Errorf("putting the journal aside: %w", err)
		}
		h.log.Warn("the old journal is put aside", slog.String("aside", aside))
	}
	if err := disk.Place(h.fsys, by, h.journalPath()); err != nil {
		return fmt.Errorf("naming the journal: %w", err)
	}
	return nil
}

// rescueJournal makes the journal anew that cannot make the database anew.
func (h *home) rescueJournal(ctx context.Context, damage error) error {
	h.log.Error("the journal cannot make the database anew; making it anew from the database, if that is whole", slog.Any("error", damage))
	if err := h.remakeJournal(ctx, damage); err != nil {
		return fmt.Errorf("%w; the database cannot make the journal anew either: %w", damage, err)
	}
	return nil
}
