package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Options say what a backup has.
type Options struct {
	// Since is the position of an earlier backup that this one continues. Zero makes
	// a full one.
	Since store.Position
	// SkipDamaged leaves out blobs whose bytes are missing or damaged, and lists
	// them at the end. Otherwise the first of them ends the backup.
	SkipDamaged bool
	// Told makes a full backup of what there is, with its downloads, in place of how that came
	// about.
	Told bool
	// WithoutBytes leaves the bytes of all blobs out: the backup is of names only.
	WithoutBytes bool
}

// Summary is what a backup has.
type Summary struct {
	End
	// Damaged are the blobs that it lacks.
	Damaged []DamagedBlob
}

// Make writes a backup of the registry as it is now: the changes since a position
// and the bytes of the files that they published, as far as they are still there.
// Publishes and deletes go on; what is deleted meanwhile keeps its bytes until the
// backup is done. A store that keeps no journal has full backups, as with Options.Told. An
// error before anything was written is ErrNoJournal,
// ErrNotContinued when there is no going on from that position, or ErrUnavailable;
// ErrDamaged comes at any time.
func Make(ctx context.Context, r *registry.Registry, options Options, w io.Writer) (Summary, error) {
	// Before the moment that the backup is of: what is named then is not deleted from here on.
	ctx, release, err := r.Hold(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer release()
	from, err := originOf(ctx, r.Metadata(), options)
	if err != nil {
		return Summary{}, err
	}
	defer from.close()
	b := &backup{Options: options, registry: r, origin: from}
	b.out, err = NewWriter(w, Head{
		Store: r.Metadata().ID(), Since: options.Since, Position: from.position(),
		Created: r.Now().UTC(), Incomplete: options.SkipDamaged, Expected: b.expect(ctx),
	})
	if err != nil {
		return Summary{}, err
	}
	return b.run(ctx)
}

// backup is one that is being made.
type backup struct {
	Options
	registry *registry.Registry
	origin   origin
	out      *Writer
	damaged  []DamagedBlob
}

func (b *backup) run(ctx context.Context) (Summary, error) {
	err := b.readLines(ctx, func(piece linePiece) error {
		return b.out.WriteLines(piece.name(), piece.lines)
	})
	if err == nil && !b.WithoutBytes {
		// Once more, for the blobs: so lines need not be in memory.
		err = b.readLines(ctx, func(piece linePiece) error { return b.writeBlobs(ctx, piece.changes) })
	}
	if err != nil {
		var broken *brokenEntryError
		if !errors.As(err, &broken) {
			_ = b.out.Fail(err) // tells the reader why, if it is still there
		}
		return Summary{}, err
	}
	end, err := b.out.End(b.damaged)
	return Summary{End: end, Damaged: b.damaged}, err
}

// readLines calls use for the lines of the backup, some at a time, and holds their
// chain from its first position to its last.
func (b *backup) readLines(ctx context.Context, use func(linePiece) error) error {
	to := b.origin.position()
	gathered := &lineGatherer{at: b.Since, use: use}
	err := b.origin.writeLines(ctx, b.Since.Sequence, gathered)
	if err == nil {
		err = gathered.flush()
	}
	if gathered.failed != nil {
		return gathered.failed
	}
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	if gathered.at.Sequence != to.Sequence {
		return fmt.Errorf("%w: the journal ends at change %d, not %d", store.ErrDamaged, gathered.at.Sequence, to.Sequence)
	}
	if gathered.at != to {
		return fmt.Errorf("%w: the journal has another change %d than the database", store.ErrDamaged, to.Sequence)
	}
	return nil
}

// writeBlobs writes the bytes that some changes name and that are still named by the
// snapshot, unless they are in the backup already.
func (b *backup) writeBlobs(ctx context.Context, changes []store.Change) error {
	for _, change := range changes {
		if !change.NamesBytes() || b.out.HasBlob(change.Locator) {
			continue
		}
		blob, err := change.Blob()
		if err != nil {
			return err
		}
		named, err := b.origin.names(blob)
		if err != nil {
			return fmt.Errorf("finding blob: %w", err)
		}
		if !named {
			continue
		}
		if err := b.writeBlob(ctx, blob); err != nil {
			return err
		}
	}
	return nil
}
