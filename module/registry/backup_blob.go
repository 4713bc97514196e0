package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
)

// brokenEntryError says that a backup's writer failed, or an entry could not be
// finished: nothing more can be written.
type brokenEntryError struct{ error }

func (e *brokenEntryError) Unwrap() error { return e.error }

// writeBlob writes a blob and compares it with its digest on the way. A damaged one
// that fits into a buffer is not written; of a larger one that shows at its end.
func (b *backup) writeBlob(ctx context.Context, blob Blob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, err := b.registry.blobs.Open(ctx, blob.Locator, blob.Size)
	if errors.Is(err, ErrBlobNotFound) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if errors.Is(err, ErrDamaged) {
		return b.report(blob, err)
	}
	if err != nil {
		return fmt.Errorf("opening blob: %w", err)
	}
	defer content.Close()
	if blob.Size <= smallBuffer {
		return b.writeSmall(blob, content)
	}
	return b.writeLarge(blob, content)
}

func (b *backup) writeSmall(blob Blob, content io.Reader) error {
	buffer, release := uploadBuffers.get(blob.Size)
	defer release()
	if _, err := io.ReadFull(content, buffer[:blob.Size]); err != nil {
		return b.report(blob, fmt.Errorf("%w: reading it: %w", ErrDamaged, err))
	}
	if sha256.Sum256(buffer[:blob.Size]) != blob.Digest {
		return b.report(blob, errBytesDiffer)
	}
	if err := b.out.WriteBlob(blob.Locator, blob.Size, bytes.NewReader(buffer[:blob.Size])); err != nil {
		return &brokenEntryError{err}
	}
	return nil
}

var errBytesDiffer = fmt.Errorf("%w: the bytes are not what was published", ErrDamaged)

func (b *backup) writeLarge(blob Blob, content io.Reader) error {
	reader := &hashingReader{reader: content, hash: sha256.New(), left: blob.Size, pad: b.SkipDamaged}
	err := b.out.WriteBlob(blob.Locator, blob.Size, reader)
	switch {
	case err != nil && reader.failed != nil && !b.SkipDamaged:
		return &brokenEntryError{b.report(blob, fmt.Errorf("%w: reading it: %w", ErrDamaged, reader.failed))}
	case err != nil:
		return &brokenEntryError{err}
	case reader.failed != nil:
		return b.report(blob, fmt.Errorf("%w: reading it: %w", ErrDamaged, reader.failed))
	case !bytes.Equal(reader.hash.Sum(nil), blob.Digest[:]):
		return b.report(blob, errBytesDiffer)
	}
	return nil
}

// hashingReader hashes what it reads. Where reading fails and it may, it goes on with
// zeros: an entry of a tar has as many bytes as its header says.
type hashingReader struct {
	reader io.Reader
	hash   hash.Hash
	left   int64
	pad    bool
	failed error
}

func (h *hashingReader) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), h.left)]
	if h.failed != nil {
		clear(p)
		h.left -= int64(len(p))
		return len(p), nil
	}
	n, err := h.reader.Read(p)
	h.hash.Write(p[:n])
	h.left -= int64(n)
	if err == io.EOF && h.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil || err == io.EOF {
		return n, nil
	}
	h.failed = err
	if h.pad {
		return n, nil
	}
	return n, err
}
