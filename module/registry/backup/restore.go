package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// RestoreSource is a backup to restore.
type RestoreSource struct {
	// Name is for messages.
	Name string
	// Open begins to read it.
	Open func() (io.ReadCloser, error)
}

// RestoreTarget is where to: stores that do not exist yet.
type RestoreTarget struct {
	// Root of the registry, as the backends know it.
	Root string
	// Metadata must be a JournalBackend or an Importer.
	Metadata store.MetadataBackend
	Blobs    store.BlobBackend
	// Scratch sums up the changes of backups for an Importer: it makes a store in a folder of
	// the spool, which is removed. It is a JournalBackend whose stores are Exporters. Nil where
	// Metadata is a JournalBackend, or the backup has no changes but what there is.
	Scratch store.MetadataBackend
	// Lacking are blobs that the backups may lack, though they do not say so. Nil for none.
	Lacking []DamagedBlob
	// GoOn takes metadata that is there already for that of the backup: what an earlier call
	// made before it was cut.
	GoOn bool
	// Spool is a directory that has room for the journal while bytes are restored: it
	// gets the file RestoreMark until then.
	Spool string
	// Log is what the stores log to. Nil discards it.
	Log *slog.Logger
	// Progress is called now and then, by one goroutine at a time. Nil is never.
	Progress func(RestoreProgress)
}

// RestoreProgress is how far a restore has come.
type RestoreProgress struct {
	// Source is the name of the backup that is being read.
	Source string
	// Blobs and Bytes of it that were restored.
	Blobs, Bytes int64
	// Expected is about how much there is in it.
	Expected Totals
}

// RestoreSummary is what was restored.
type RestoreSummary struct {
	// Store is its ID.
	Store    string
	Position store.Position
	Created  time.Time // of the last backup
	// Blobs and Bytes that files of the registry have.
	Blobs, Bytes int64
	// Missing are the blobs whose bytes the backups lack, because they were damaged
	// when those were made.
	Missing []DamagedBlob
}

// RestoreMark is the file in the spool directory that has the journal's lines while a
// restore is in progress. Where the file is, there is half a restore.
const RestoreMark = "restore-in-progress" + linesSuffix

// CopyMark is the folder in the root of a registry that is being copied there. Where it is, there
// is half a copy.
const CopyMark = "copy-in-progress"

// Restore makes new stores out of a full backup and of those that continue it, in
// their order. The bytes come first and are tied to the store's ID; the journal is
// last. What an interrupted restore leaves has the file RestoreMark; and without that
// file, a server would make a new metadata store, which those bytes are not of.
//
// ErrIncomplete for a backup that was cut, ErrNotContinued for one that does not
// continue the one before, ErrDamaged, ErrFormat, ErrNoJournal, ErrNoSpace,
// ErrLocked; ErrMismatch when there are bytes of another store.
func Restore(ctx context.Context, target RestoreTarget, sources ...RestoreSource) (RestoreSummary, error) {
	if err := target.canImport(); err != nil {
		return RestoreSummary{}, err
	}
	if target.Log == nil {
		target.Log = slog.New(slog.DiscardHandler)
	}
	lines, err := os.OpenFile(filepath.Join(target.Spool, RestoreMark), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return RestoreSummary{}, fmt.Errorf("making a temporary file: %w", err)
	}
	r := &restoring{target: target, lines: lines, missing: make(map[store.Digest]DamagedBlob)}
	for _, blob := range target.Lacking {
		r.missing[blob.Digest] = blob
	}
	summary, err := r.run(ctx, sources)
	err = errors.Join(err, lines.Close())
	if err != nil && r.begun {
		return RestoreSummary{}, err // the mark stays
	}
	return summary, errors.Join(err, os.Remove(lines.Name()))
}

func (r *restoring) run(ctx context.Context, sources []RestoreSource) (RestoreSummary, error) {
	if err := r.readAll(ctx, sources); err != nil {
		return RestoreSummary{}, err
	}
	if err := r.importLines(ctx); err != nil && !(r.target.GoOn && errors.Is(err, store.ErrFormat)) {
		return RestoreSummary{}, fmt.Errorf("importing the lines: %w", err)
	}
	return r.Check(ctx)
}

// restoring is a restore in progress.
type restoring struct {
	target   RestoreTarget
	lines    *os.File // of all backups so far
	blobs    store.BlobStore
	begun    bool // stores were made
	head     Head // of the last backup that was read
	missing  map[store.Digest]DamagedBlob
	progress progress

	hasChanges bool // some of the lines are not of a checkpoint
}

// readAll restores the bytes of all backups and gathers their lines.
func (r *restoring) readAll(ctx context.Context, sources []RestoreSource) (err error) {
	if len(sources) == 0 {
		return fmt.Errorf("%w: there is none", store.ErrIncomplete)
	}
	defer func() {
		if r.blobs != nil {
			err = errors.Join(err, r.blobs.Close())
		}
	}()
	for _, source := range sources {
		if err := r.readSource(ctx, source); err != nil {
			return fmt.Errorf("restoring %s: %w", source.Name, err)
		}
	}
	return nil
}

func (r *restoring) readSource(ctx context.Context, source RestoreSource) error {
	stream, err := source.Open()
	if err != nil {
		return err
	}
	defer stream.Close()
	reader, err := NewReader(stream)
	if err != nil {
		return err
	}
	if err := r.begin(ctx, reader.Head()); err != nil {
		return err
	}
	begin, err := r.lines.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("writing lines: %w", err)
	}
	for {
		lines, err := reader.NextLines()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := r.lines.Write(lines); err != nil {
			return fmt.Errorf("writing lines: %w", err)
		}
		if _, _, isCheckpoint, err := ParseLinesName(reader.Name()); err != nil || !isCheckpoint {
			r.hasChanges = true
		}
	}
	r.progress.begin(source.Name, reader.Head().Expected, r.target.Progress)
	again := io.NewSectionReader(r.lines, begin, 1<<62)
	if err := reader.CopyBlobs(ctx, again, r.restoreBlob); err != nil {
		return err
	}
	for _, blob := range reader.Damaged() {
		r.missing[blob.Digest] = blob
	}
	return nil
}

// begin holds a backup against the one before. The first opens the blob store.
func (r *restoring) begin(ctx context.Context, head Head) error {
	before := r.head
	r.head = head
	switch {
	case before.Format == 0 && head.Since != (store.Position{}):
		return fmt.Errorf("%w: it continues another backup, which is needed first: one that ends at change %d", store.ErrNotContinued, head.Since.Sequence)
	case before.Format == 0:
		return r.openBlobs(ctx)
	case head.Store != before.Store:
		return fmt.Errorf("%w: it is of another registry than the one before", store.ErrNotContinued)
	case head.Since != before.Position:
		return fmt.Errorf("%w: it continues a backup that ends at change %d; the one before ends at change %d, or has another history", store.ErrNotContinued, head.Since.Sequence, before.Position.Sequence)
	}
	return nil
}

func (r *restoring) openBlobs(ctx context.Context) error {
	if err := r.syncMark(); err != nil {
		return err
	}
	r.begun = true
	blobs, err := r.target.Blobs.OpenBlobs(ctx, r.target.Root, r.target.Log)
	if err != nil {
		return fmt.Errorf("opening blobs: %w", err)
	}
	r.blobs = blobs
	// Before any bytes: no server with another store will take them for its own.
	if err := r.blobs.Bind(ctx, r.head.Store); err != nil {
		return fmt.Errorf("binding blobs: %w", err)
	}
	return nil
}

// syncMark makes the name of the mark durable before there is anything to be marked.
func (r *restoring) syncMark() error {
	spool, err := os.Open(r.target.Spool)
	if err != nil {
		return fmt.Errorf("opening the spool directory: %w", err)
	}
	_ = spool.Sync() // not every system can
	return spool.Close()
}

func (r *restoring) restoreBlob(ctx context.Context, blob store.Blob, content io.Reader) error {
	// An increment has bytes again that got another name meanwhile.
	if size, err := r.blobs.Stat(ctx, blob.Locator); err != nil || size != blob.Size {
		if err := storeBytes(ctx, r.blobs, blob, content); err != nil {
			return err
		}
	}
	r.progress.Add(blob.Size, r.target.Progress)
	return nil
}

// storeBytes writes a blob, durable.
func storeBytes(ctx context.Context, blobs store.BlobStore, blob store.Blob, content io.Reader) error {
	writer, err := blobs.CreateAt(ctx, blob.Locator, blob.Size)
	if err != nil {
		return fmt.Errorf("creating blob: %w", err)
	}
	buffer, release := transfer.UploadBuffers.Get(blob.Size)
	defer release()
	if _, err := io.CopyBuffer(struct{ io.Writer }{writer}, content, buffer); err != nil {
		return errors.Join(fmt.Errorf("writing blob: %w", err), writer.Abort())
	}
	if _, err := writer.Commit(ctx); err != nil {
		return errors.Join(fmt.Errorf("committing blob: %w", err), writer.Abort())
	}
	return nil
}

// Check opens the new stores, which makes the database out of the journal, and looks
// for the bytes of every blob. What is missing is damage that the new metadata knows.
func (r *restoring) Check(ctx context.Context) (summary RestoreSummary, err error) {
	summary = RestoreSummary{Store: r.head.Store, Position: r.head.Position, Created: r.head.Created}
	metadata, err := r.target.Metadata.OpenMetadata(ctx, r.target.Root, r.target.Log)
	if err != nil {
		return summary, fmt.Errorf("opening metadata: %w", err)
	}
	blobs, err := r.target.Blobs.OpenBlobs(ctx, r.target.Root, r.target.Log)
	if err != nil {
		return summary, errors.Join(fmt.Errorf("opening blobs: %w", err), metadata.Close())
	}
	made := registry.New(metadata, blobs, registry.Options{Log: r.target.Log, Idle: true})
	defer func() { err = errors.Join(err, made.Close()) }()
	if err := binding.Bind(ctx, metadata, blobs); err != nil {
		return summary, err
	}
	if at := metadata.Condition().Journal; at != r.head.Position && (at.Chain != store.Digest{} || at.Sequence != r.head.Position.Sequence) {
		return summary, fmt.Errorf("%w: the new store is at change %d, the backup at %d", store.ErrDamaged, at.Sequence, r.head.Position.Sequence)
	}
	// A replay may leave to the reaper what deletes left to it.
	if _, err := made.Reap(ctx); err != nil {
		return summary, err
	}
	// An increment may have deleted what the backup before it has bytes of.
	if err := made.RemoveUnnamed(ctx); err != nil {
		return summary, err
	}
	present := make(map[[16]byte]int64)
	err = blobs.Walk(ctx, func(locator store.Locator, size int64, _ time.Time) error {
		present[locatorKey(locator)] = size
		return nil
	})
	if err != nil {
		return summary, fmt.Errorf("looking for the bytes: %w", err)
	}
	err = made.EachBlob(ctx, store.Digest{}, func(blob store.Blob) error {
		summary.Blobs++
		summary.Bytes += blob.Size
		if size, found := present[locatorKey(blob.Locator)]; found && size == blob.Size {
			return nil
		}
		missing, known := r.missing[blob.Digest]
		if !known {
			return fmt.Errorf("%w: no backup has the bytes of %s", store.ErrDamaged, blob.Digest)
		}
		summary.Missing = append(summary.Missing, missing)
		// Health tells it from the beginning, and not when somebody wants the bytes.
		if _, err := metadata.MarkDamage(ctx, blob, store.DamageMissing); err != nil {
			return fmt.Errorf("taking note of the missing bytes: %w", err)
		}
		return nil
	})
	return summary, err
}
