package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/told"
)

// canImport reports ErrNoJournal for a target whose metadata cannot be made of a backup.
func (t RestoreTarget) canImport() error {
	_, journal := t.Metadata.(store.JournalBackend)
	_, importer := t.Metadata.(told.Importer)
	if !journal && !importer {
		return store.ErrNoJournal
	}
	return nil
}

// importLines makes the metadata out of the lines of all backups.
func (r *restoring) importLines(ctx context.Context) error {
	t := r.target
	if _, err := r.lines.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading lines again: %w", err)
	}
	if backend, ok := t.Metadata.(store.JournalBackend); ok {
		return backend.ImportJournal(ctx, t.Root, r.head.Store, r.lines, t.Log)
	}
	backend := t.Metadata.(told.Importer)
	if !r.hasChanges {
		return backend.Import(ctx, t.Root, r.head.Store, r.head.Position, r.lines, t.Log)
	}
	return r.sumUp(ctx, func(lines io.Reader) error {
		return backend.Import(ctx, t.Root, r.head.Store, r.head.Position, lines, t.Log)
	})
}

// errNoScratch: nothing can tell what the changes of a backup come to.
var errNoScratch = errors.New("the backup has changes, and nothing to sum them up with")

// sumUp calls use with the lines of a checkpoint that stands for all changes of the backups. A
// store that keeps a journal makes it, in a folder that is removed afterwards.
func (r *restoring) sumUp(ctx context.Context, use func(lines io.Reader) error) (err error) {
	t := r.target
	scratch, ok := t.Scratch.(store.JournalBackend)
	if !ok {
		return errNoScratch
	}
	folder, err := os.MkdirTemp(t.Spool, "restore-*")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	if err := scratch.ImportJournal(ctx, folder, r.head.Store, r.lines, t.Log); err != nil {
		return err
	}
	summed, err := t.Scratch.OpenMetadata(ctx, folder, t.Log)
	if err != nil {
		return fmt.Errorf("opening what sums up the changes: %w", err)
	}
	defer func() { err = errors.Join(err, summed.Close()) }()
	from, ok := summed.(told.Exporter)
	if !ok {
		return errNoScratch
	}
	all, err := newTold(ctx, from)
	if err != nil {
		return err
	}
	defer all.close()
	if all.at != r.head.Position {
		return fmt.Errorf("%w: the changes end at %d, the backup at %d", store.ErrDamaged, all.at.Sequence, r.head.Position.Sequence)
	}
	return use(bufio.NewReader(io.NewSectionReader(all.file, 0, 1<<62)))
}
