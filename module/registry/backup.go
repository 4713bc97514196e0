package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// BackupOptions say what a backup has.
type BackupOptions struct {
	// Since is the position of an earlier backup that this one continues. Zero makes
	// a full one.
	Since Position
	// SkipDamaged leaves out blobs whose bytes are missing or damaged, and lists
	// them at the end. Otherwise the first of them ends the backup.
	SkipDamaged bool
}

// BackupSummary is what a backup has.
type BackupSummary struct {
	BackupEnd
	// Damaged are the blobs that it lacks.
	Damaged []DamagedBlob
}

// MakeBackup writes a backup of the registry as it is now: the changes since a position
// and the bytes of the files that they published, as far as they are still there.
// Publishes and deletes go on; what is deleted meanwhile keeps its bytes until the
// backup is done. An error before anything was written is ErrNoJournal,
// ErrNotContinued when there is no going on from that position, or ErrUnavailable;
// ErrDamaged comes at any time.
func MakeBackup(ctx context.Context, r *Registry, options BackupOptions, w io.Writer) (BackupSummary, error) {
	journal, ok := r.Metadata().(Journaled)
	if !ok {
		return BackupSummary{}, ErrNoJournal
	}
	// Before the snapshot: what it names is not deleted from here on.
	release, err := r.Hold(ctx)
	if err != nil {
		return BackupSummary{}, err
	}
	defer release()
	snapshot, err := journal.Snapshot(ctx)
	if err != nil {
		return BackupSummary{}, fmt.Errorf("taking a snapshot: %w", err)
	}
	defer snapshot.Close()
	if err := checkSince(ctx, journal, options.Since, snapshot.Position()); err != nil {
		return BackupSummary{}, err
	}
	b := &backup{BackupOptions: options, registry: r, journal: journal, snapshot: snapshot}
	b.out, err = NewBackupWriter(w, BackupHead{
		Store: r.Metadata().ID(), Since: options.Since, Position: snapshot.Position(),
		Created: r.Now().UTC(), Incomplete: options.SkipDamaged, Expected: b.expect(ctx),
	})
	if err != nil {
		return BackupSummary{}, err
	}
	return b.run(ctx)
}

// checkSince reports ErrNotContinued for a position that the journal never had.
func checkSince(ctx context.Context, journal Journaled, since, now Position) error {
	known := Position{}
	switch {
	case since.Sequence > now.Sequence:
		return fmt.Errorf("%w: the registry is at change %d, that backup at %d; make a full backup", ErrNotContinued, now.Sequence, since.Sequence)
	case since.Sequence == now.Sequence:
		known = now
	case since.Sequence > 0:
		var line bytes.Buffer
		err := journal.ReadJournal(ctx, since.Sequence-1, since.Sequence, &line)
		if errors.Is(err, ErrNotContinued) {
			return fmt.Errorf("%w; make a full backup", err)
		}
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		change, chain, err := LineChain(line.Bytes())
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		known = Position{Sequence: change.Sequence, Chain: chain}
	}
	if since != known {
		return fmt.Errorf("%w: that backup has another change %d; make a full backup", ErrNotContinued, since.Sequence)
	}
	return nil
}

// backup is one that is being made.
type backup struct {
	BackupOptions
	registry *Registry
	journal  Journaled
	snapshot Snapshot
	out      *BackupWriter
	damaged  []DamagedBlob
}

func (b *backup) run(ctx context.Context) (BackupSummary, error) {
	err := b.readLines(ctx, func(piece linePiece) error {
		return b.out.WriteLines(piece.name(), piece.lines)
	})
	if err == nil {
		// Once more, for the blobs: so lines need not be in memory.
		err = b.readLines(ctx, func(piece linePiece) error { return b.writeBlobs(ctx, piece.changes) })
	}
	if err != nil {
		var broken *brokenEntryError
		if !errors.As(err, &broken) {
			_ = b.out.Fail(err) // tells the reader why, if it is still there
		}
		return BackupSummary{}, err
	}
	end, err := b.out.End(b.damaged)
	return BackupSummary{BackupEnd: end, Damaged: b.damaged}, err
}

// readLines calls use for the lines of the backup, some at a time, and holds their
// chain from its first position to its last.
func (b *backup) readLines(ctx context.Context, use func(linePiece) error) error {
	to := b.snapshot.Position()
	gathered := &lineGatherer{at: b.Since, use: use}
	err := b.journal.ReadJournal(ctx, b.Since.Sequence, to.Sequence, gathered)
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
		return fmt.Errorf("%w: the journal ends at change %d, not %d", ErrDamaged, gathered.at.Sequence, to.Sequence)
	}
	if gathered.at != to {
		return fmt.Errorf("%w: the journal has another change %d than the database", ErrDamaged, to.Sequence)
	}
	return nil
}

// writeBlobs writes the bytes that some changes name and that are still named by the
// snapshot, unless they are in the backup already.
func (b *backup) writeBlobs(ctx context.Context, changes []Change) error {
	for _, change := range changes {
		if change.Operation != OperationPublish || b.out.HasBlob(change.Locator) {
			continue
		}
		blob, err := change.blob()
		if err != nil {
			return err
		}
		named, err := b.snapshot.FindBlob(blob.Digest)
		if errors.Is(err, ErrBlobNotFound) || err == nil && named.Locator != blob.Locator {
			continue // deleted since, or replaced
		}
		if err != nil {
			return fmt.Errorf("finding blob: %w", err)
		}
		if err := b.writeBlob(ctx, blob); err != nil {
			return err
		}
	}
	return nil
}
