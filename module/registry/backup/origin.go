package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/told"
)

// origin is where the lines of a backup come from, as of one moment.
type origin interface {
	// position is what the lines end at.
	position() store.Position
	// writeLines writes the lines after a number.
	writeLines(ctx context.Context, after uint64, w io.Writer) error
	// names tells whether a blob was one at that moment.
	names(blob store.Blob) (bool, error)
	close()
}

// originOf takes the moment. ErrNoJournal when the store tells no backups anything,
// ErrNotContinued when it has no changes since a position.
func originOf(ctx context.Context, metadata store.MetadataStore, options Options) (origin, error) {
	journaled, hasJournal := metadata.(store.Journaled)
	exporter, exports := metadata.(told.Exporter)
	switch {
	case exports && options.Told || exports && !hasJournal:
		if options.Since != (store.Position{}) {
			return nil, fmt.Errorf("%w: this metadata store keeps no journal of changes, and its backups are full ones only", store.ErrNotContinued)
		}
		return newTold(ctx, exporter)
	case !hasJournal:
		return nil, store.ErrNoJournal
	}
	snapshot, err := journaled.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	from := &journalled{snapshot}
	if err := from.checkSince(ctx, options.Since); err != nil {
		snapshot.Close()
		return nil, err
	}
	return from, nil
}

// journalled has lines of a journal up to a snapshot.
type journalled struct {
	snapshot store.Snapshot
}

func (j *journalled) position() store.Position { return j.snapshot.Position() }

func (j *journalled) writeLines(ctx context.Context, after uint64, w io.Writer) error {
	return j.snapshot.ReadJournal(ctx, after, j.position().Sequence, w)
}

// names tells that bytes are not there any more that a change named: those of a file that was
// deleted or replaced since.
func (j *journalled) names(blob store.Blob) (bool, error) {
	named, err := j.snapshot.FindBlob(blob.Digest)
	if errors.Is(err, store.ErrBlobNotFound) {
		return false, nil
	}
	return named.Locator == blob.Locator, err
}

func (j *journalled) close() { j.snapshot.Close() }

// checkSince reports ErrNotContinued for a position that the journal never had.
func (j *journalled) checkSince(ctx context.Context, since store.Position) error {
	now, known := j.position(), store.Position{}
	switch {
	case since.Sequence > now.Sequence:
		return fmt.Errorf("%w: the registry is at change %d, that backup at %d; make a full backup", store.ErrNotContinued, now.Sequence, since.Sequence)
	case since.Sequence == now.Sequence:
		known = now
	case since.Sequence > 0:
		var line bytes.Buffer
		err := j.snapshot.ReadJournal(ctx, since.Sequence-1, since.Sequence, &line)
		if errors.Is(err, store.ErrNotContinued) {
			return fmt.Errorf("%w; make a full backup", err)
		}
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		change, chain, err := jsonl.LineChain(line.Bytes())
		if err != nil {
			return fmt.Errorf("reading the journal: %w", err)
		}
		known = store.Position{Sequence: change.Sequence, Chain: chain}
	}
	if since != known {
		return fmt.Errorf("%w: that backup has another change %d; make a full backup", store.ErrNotContinued, since.Sequence)
	}
	return nil
}

// toldLines has the lines of a checkpoint in a temporary file, so that the store's view of the
// moment need not last as long as the bytes are read.
type toldLines struct {
	at   store.Position
	file *os.File
}

func newTold(ctx context.Context, from told.Exporter) (_ *toldLines, err error) {
	file, err := os.CreateTemp("", "generic-registry-*"+linesSuffix)
	if err != nil {
		return nil, fmt.Errorf("making a temporary file for the lines: %w", err)
	}
	t := &toldLines{file: file}
	out := bufio.NewWriterSize(file, bytesAtOnce)
	if t.at, err = from.Export(ctx, out); err == nil {
		err = out.Flush()
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("telling what there is: %w", err)
	}
	return t, nil
}

func (t *toldLines) position() store.Position { return t.at }

func (t *toldLines) writeLines(_ context.Context, _ uint64, w io.Writer) error {
	_, err := io.Copy(w, io.NewSectionReader(t.file, 0, 1<<62))
	return err
}

func (t *toldLines) names(store.Blob) (bool, error) { return true, nil }

func (t *toldLines) close() {
	_ = t.file.Close() // what was read is what counts
	_ = os.Remove(t.file.Name())
}
