package moving

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// copiesAtOnce is how many blobs are copied at once: they wait for disks and servers
	// together.
	copiesAtOnce = 32

	// A blob is copied again after firstWait when a server does not answer, and after twice as
	// long each time up to lastWait: a copy may take hours.
	firstWait = time.Second
	lastWait  = 16 * time.Second

	// linesFile has the lines of a pass, in the folder of the copy.
	linesFile = "lines.tar"
)

// Pass is what one pass over the source came to.
type Pass struct {
	// Store is the ID of the registry.
	Store string
	// Position of the registry when the pass began.
	Position store.Position
	// Blobs and Bytes that were copied.
	Blobs, Bytes int64
	// Lacking are the blobs whose bytes the source does not have as they were published.
	Lacking []backup.DamagedBlob
	// Took is how long the pass took.
	Took time.Duration
}

// Progress is how far a pass has come.
type Progress struct {
	// Blobs and Bytes that were copied, of so many that are to be.
	Blobs, Bytes, TotalBlobs, TotalBytes int64
}

// Pass copies the bytes that the source has and the target lacks, of all blobs or of those of
// the changes since an earlier pass. What the source deletes meanwhile is left out.
func (c *Copy) Pass(ctx context.Context, from Source, since store.Position) (pass Pass, err error) {
	began := time.Now()
	if err := c.fetchLines(ctx, from, since); err != nil {
		return pass, err
	}
	head, err := c.eachLine(func(store.Change) error { return nil }) // whole, or nothing is done
	if err != nil {
		return pass, err
	}
	if err := c.open(ctx, head.Store); err != nil {
		return pass, err
	}
	work := newPassWork(ctx, c, from)
	if err := work.plan(); err != nil {
		return pass, err
	}
	if err := work.run(); err != nil {
		return pass, err
	}
	return Pass{
		Store: head.Store, Position: head.Position, Blobs: work.progress.Blobs, Bytes: work.progress.Bytes,
		Lacking: work.lacking, Took: time.Since(began),
	}, nil
}

func (c *Copy) linesName() string { return filepath.Join(c.claim.Path, linesFile) }

// fetchLines writes the lines of the source to a file: bytes are copied for longer than a
// server should wait.
func (c *Copy) fetchLines(ctx context.Context, from Source, since store.Position) (err error) {
	stream, err := from.Lines(ctx, since)
	if err != nil {
		return err
	}
	defer stream.Close()
	file, err := os.OpenFile(c.linesName(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making a file for the lines: %w", err)
	}
	_, err = io.Copy(file, stream)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("reading the lines: %w", err)
	}
	return nil
}

// eachLine calls use for each change of the lines that were fetched.
func (c *Copy) eachLine(use func(store.Change) error) (head backup.Head, err error) {
	file, err := os.Open(c.linesName())
	if err != nil {
		return head, fmt.Errorf("opening the lines: %w", err)
	}
	defer file.Close()
	reader, err := backup.NewReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return head, err
	}
	head = reader.Head()
	for at := head.Since; ; {
		lines, err := reader.NextLines()
		if errors.Is(err, io.EOF) {
			return head, reader.ReadThrough(func(int64) {})
		}
		if err != nil {
			return head, err
		}
		if at, err = jsonl.ReadLines(lines, at, use); err != nil {
			return head, err
		}
	}
}

// passWork is a pass that copies.
type passWork struct {
	*Copy
	from   Source
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	progress Progress
	lacking  []backup.DamagedBlob
}

func newPassWork(ctx context.Context, c *Copy, from Source) *passWork {
	w := &passWork{Copy: c, from: from}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w
}

// eachMissing calls use for each blob that the lines name and the target lacks.
func (w *passWork) eachMissing(use func(store.Blob) error) error {
	seen := make(backup.LocatorSet)
	_, err := w.eachLine(func(change store.Change) error {
		if !change.NamesBytes() || w.present.Has(change.Locator) || seen.Has(change.Locator) {
			return nil
		}
		seen.Add(change.Locator)
		blob, err := change.Blob()
		if err != nil {
			return err
		}
		return use(blob)
	})
	return err
}

// plan counts what is to be copied.
func (w *passWork) plan() error {
	return w.eachMissing(func(blob store.Blob) error {
		w.progress.TotalBlobs++
		w.progress.TotalBytes += blob.Size
		return nil
	})
}

func (w *passWork) run() error {
	defer w.cancel(nil)
	tasks := make(chan store.Blob)
	copied := make(chan store.Blob, copiesAtOnce)
	var workers, counting sync.WaitGroup
	for range copiesAtOnce {
		workers.Go(func() {
			for blob := range tasks {
				if w.copy(blob) {
					copied <- blob
				}
			}
		})
	}
	counting.Go(func() {
		for blob := range copied {
			w.count(blob)
		}
	})
	err := w.eachMissing(func(blob store.Blob) error {
		select {
		case tasks <- blob:
			return nil
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	})
	close(tasks)
	workers.Wait()
	close(copied)
	counting.Wait()
	for locator := range w.arrived {
		w.present[locator] = struct{}{}
	}
	clear(w.arrived)
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return err
}

// count takes note of a blob that the target has now.
func (w *passWork) count(blob store.Blob) {
	w.arrived.Add(blob.Locator)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress.Blobs++
	w.progress.Bytes += blob.Size
	if w.Progress != nil {
		w.Progress(w.progress)
	}
}

// copy copies one blob, and tells whether it did. What ends the pass is kept.
func (w *passWork) copy(blob store.Blob) bool {
	err := w.try(blob)
	for wait := firstWait; errors.Is(err, store.ErrUnavailable) && wait <= lastWait; wait *= 2 {
		select {
		case <-w.ctx.Done():
			return false
		case <-time.After(wait):
			err = w.try(blob)
		}
	}
	switch {
	case err == nil:
		return true
	case w.ctx.Err() != nil || errors.Is(err, store.ErrBlobNotFound): // deleted meanwhile
		return false
	case errors.Is(err, store.ErrDamaged) && !errors.Is(err, store.ErrUnavailable), errors.Is(err, ErrCut): // and the source answers
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lacking = append(w.lacking, backup.DamagedBlob{Digest: blob.Digest, Size: blob.Size, Locator: blob.Locator, Problem: err.Error()})
		return false
	}
	w.cancel(fmt.Errorf("copying blob %s: %w", blob.Locator, err))
	return false
}

func (w *passWork) try(blob store.Blob) error {
	content, err := w.from.Open(w.ctx, blob.Digest)
	if err != nil {
		return err
	}
	return errors.Join(backup.PutBlob(w.ctx, w.blobs, blob, content), content.Close())
}
