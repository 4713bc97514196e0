package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// brokenEntryError says that a backup's writer failed, or an entry could not be
// finished: nothing more can be written.
type brokenEntryError struct{ error }

func (e *brokenEntryError) Unwrap() error { return e.error }

// writeBlob writes a blob and compares it with its digest on the way. A damaged one
// that fits into a buffer is not written; of a larger one that shows at its end.
func (b *backup) writeBlob(ctx context.Context, blob store.Blob) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	content, err := b.registry.Blobs().Open(ctx, blob.Locator, blob.Size)
	if err != nil {
		return b.unreadable(ctx, blob, err)
	}
	defer content.Close()
	if blob.Size <= transfer.SmallBuffer {
		return b.writeSmall(ctx, blob, content)
	}
	return b.writeLarge(ctx, blob, content)
}

func (b *backup) writeSmall(ctx context.Context, blob store.Blob, content io.Reader) error {
	buffer, release := transfer.UploadBuffers.Get(blob.Size)
	defer release()
	reader := transfer.NewReader(content, blob.Size)
	if _, err := io.ReadFull(reader, buffer[:blob.Size]); err != nil {
		return b.unreadable(ctx, blob, err)
	}
	if digest := reader.Digest(); digest != blob.Digest {
		return b.found(ctx, integrity.WrongDigest(blob, digest))
	}
	if err := b.out.WriteBlob(blob.Locator, blob.Size, bytes.NewReader(buffer[:blob.Size])); err != nil {
		return &brokenEntryError{err}
	}
	return nil
}

func (b *backup) writeLarge(ctx context.Context, blob store.Blob, content io.Reader) error {
	reader := &entryReader{Reader: transfer.NewReader(content, blob.Size), pad: b.SkipDamaged}
	if err := b.out.WriteBlob(blob.Locator, blob.Size, reader); err != nil {
		if reader.failed != nil && !b.SkipDamaged {
			err = b.unreadable(ctx, blob, reader.failed)
		}
		return &brokenEntryError{err}
	}
	if reader.failed != nil {
		return b.unreadable(ctx, blob, reader.failed)
	}
	if digest := reader.Digest(); digest != blob.Digest {
		return b.found(ctx, integrity.WrongDigest(blob, digest))
	}
	return nil
}

// unreadable deals with what opening or reading a blob failed with.
func (b *backup) unreadable(ctx context.Context, blob store.Blob, err error) error {
	damage, judgeErr := b.registry.Judge(ctx, blob, err)
	if judgeErr != nil {
		return fmt.Errorf("reading blob %s: %w", blob.Locator, judgeErr)
	}
	return b.found(ctx, damage)
}

// found ends the backup because of a damaged blob, or takes note of it.
func (b *backup) found(ctx context.Context, damage integrity.Damage) error {
	if _, err := b.registry.Report(ctx, damage); err != nil {
		return err
	}
	problem := string(damage.Kind)
	if damage.Found != "" {
		problem += ": " + damage.Found
	}
	if !b.SkipDamaged {
		return fmt.Errorf("%w: blob %s of SHA-256 %s: %s", store.ErrDamaged, damage.Locator, damage.Digest, problem)
	}
	b.out.SkipBlob(damage.Locator)
	b.damaged = append(b.damaged, DamagedBlob{Digest: damage.Digest, Size: damage.Size, Locator: damage.Locator, Problem: problem})
	return nil
}

// entryReader reads a blob for an entry of a tar, which has as many bytes as its header says.
// So where reading fails and it may, it goes on with zeros.
type entryReader struct {
	*transfer.Reader
	pad    bool
	failed error
	zeros  int64 // that are still to be read, after a failure
}

func (e *entryReader) Read(p []byte) (int, error) {
	if e.failed == nil {
		n, err := e.Reader.Read(p)
		if err == nil || err == io.EOF {
			return n, err
		}
		e.failed, e.zeros = err, e.Left()
		if !e.pad {
			return n, err
		}
		return n, nil
	}
	if e.zeros == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), e.zeros)]
	clear(p)
	e.zeros -= int64(len(p))
	return len(p), nil
}
