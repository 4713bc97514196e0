package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/journal/jsonl"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// copiesAtOnce is how many blobs of a backup are written at once, so that they wait for
// the disk together.
const copiesAtOnce = 32

// CopyBlobs reads all blobs of a backup, whose lines NextLines has returned and are
// given again, and calls write for each, up to 32 at once. The content given to write
// fails with ErrDamaged instead of ending when the bytes do not have the digest that the
// lines say; write must then leave nothing behind. It may return without
// reading. Returns nil when the backup is whole.
//
// Of an incomplete backup, content that is damaged is an error only if the backup
// does not say so.
func (b *Reader) CopyBlobs(ctx context.Context, lines io.Reader, write func(context.Context, store.Blob, io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &copying{write: write, cancel: cancel, tolerant: b.head.Incomplete, tasks: make(chan copyTask)}
	var workers sync.WaitGroup
	for range copiesAtOnce {
		workers.Go(func() {
			for task := range c.tasks {
				c.copy(ctx, task.Blob, bytes.NewReader(task.content))
				task.release()
			}
		})
	}
	err := c.readAll(ctx, b, &blobFinder{lines: bufio.NewReaderSize(lines, transfer.LargeBuffer)})
	close(c.tasks)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return c.checkBad(b.damaged)
}

type copying struct {
	write    func(context.Context, store.Blob, io.Reader) error
	cancel   context.CancelCauseFunc
	tolerant bool
	tasks    chan copyTask

	mu  sync.Mutex
	bad []store.Blob // whose content was damaged
}

// copyTask is a small blob in memory.
type copyTask struct {
	Blob    store.Blob
	content []byte
	release func()
}

func (c *copying) readAll(ctx context.Context, b *Reader, finder *blobFinder) error {
	for {
		locator, size, content, err := b.NextBlob()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		blob, err := finder.find(locator)
		if err != nil {
			return err
		}
		if blob.Size != size {
			return fmt.Errorf("%w: blob %s has %d bytes, its line says %d", store.ErrDamaged, locator, size, blob.Size)
		}
		if err := c.hand(ctx, blob, content); err != nil {
			return err
		}
	}
}

// hand gives a small blob to a worker; a large one is copied at once.
func (c *copying) hand(ctx context.Context, blob store.Blob, content io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	buffer, release := copyBuffers.Get(blob.Size)
	if blob.Size > int64(len(buffer)) {
		release()
		c.copy(ctx, blob, content)
		return nil
	}
	if _, err := io.ReadFull(content, buffer[:blob.Size]); err != nil {
		release()
		return fmt.Errorf("reading blob %s: %w", blob.Locator, cutError(err))
	}
	select {
	case c.tasks <- copyTask{blob, buffer[:blob.Size], release}:
		return nil
	case <-ctx.Done():
		release()
		return ctx.Err()
	}
}

// copyBuffers are bounded by the number of copies.
var copyBuffers = transfer.NewBufferPool(1 << 62)

func (c *copying) copy(ctx context.Context, blob store.Blob, content io.Reader) {
	if ctx.Err() != nil {
		return
	}
	checked := &checkedReader{Reader: transfer.NewReader(content, blob.Size), want: blob.Digest}
	err := c.write(ctx, blob, checked)
	if err == nil {
		return
	}
	if !checked.damaged || !c.tolerant {
		c.cancel(fmt.Errorf("blob %s: %w", blob.Locator, err))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = append(c.bad, blob)
}

// checkBad reports a blob with damaged content that the backup does not name.
func (c *copying) checkBad(named []DamagedBlob) error {
	known := make(map[store.Digest]bool, len(named))
	for _, blob := range named {
		known[blob.Digest] = true
	}
	for _, blob := range c.bad {
		if !known[blob.Digest] {
			return fmt.Errorf("%w: blob %s is not what was published", store.ErrDamaged, blob.Locator)
		}
	}
	return nil
}

// checkedReader ends with ErrDamaged when the bytes do not have the digest that is wanted.
type checkedReader struct {
	*transfer.Reader
	want    store.Digest
	damaged bool
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF && c.Digest() != c.want {
		c.damaged = true
		return n, fmt.Errorf("%w: the bytes are not those of %s", store.ErrDamaged, c.want)
	}
	return n, err
}

// PutBlob stores a blob at its locator, durable, unless the content has another digest than the
// blob: ErrDamaged.
func PutBlob(ctx context.Context, blobs store.BlobStore, blob store.Blob, content io.Reader) error {
	return storeBytes(ctx, blobs, blob, &checkedReader{Reader: transfer.NewReader(content, blob.Size), want: blob.Digest})
}

// blobFinder looks the blobs of a backup up in its lines, which name them in the
// same order: so neither has to be in memory.
type blobFinder struct{ lines *bufio.Reader }

// find returns what the lines say of a locator. ErrDamaged when none of those that
// are left names it.
func (f *blobFinder) find(locator store.Locator) (store.Blob, error) {
	for {
		line, err := f.lines.ReadBytes('\n')
		if err == io.EOF {
			return store.Blob{}, fmt.Errorf("%w: no line names the blob %s, or not in this order", store.ErrDamaged, locator)
		}
		if err != nil {
			return store.Blob{}, fmt.Errorf("reading lines: %w", err)
		}
		change, _, err := jsonl.LineChain(line)
		if err != nil {
			return store.Blob{}, err
		}
		if change.NamesBytes() && change.Locator == locator {
			return change.Blob()
		}
	}
}
