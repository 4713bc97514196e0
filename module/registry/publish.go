package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Content is the bytes that a client asks to publish.
type Content struct {
	Body io.Reader
	// Size in bytes, -1 when unknown.
	Size int64
	// SHA256 is the digest that the client says the bytes have. Nil when it says
	// none.
	SHA256 *Digest
}

// Publish stores the content and makes it visible as ref. When it returns nil,
// bytes and record survive a crash and a power cut; otherwise nothing is visible,
// except that an error other than the following leaves the outcome open until the
// store is opened again: ErrExists, ErrNoSpace, ErrDigest, ErrUnavailable and
// *BodyError, ErrQuotaBytes, ErrQuotaVersions, ErrBusy.
//
// The caller has looked for an existing file already, to refuse it before its
// body; here the store decides between those that race.
func (r *Registry) Publish(ctx context.Context, ref Ref, creator string, content Content, limits Limits) (File, error) {
	content, err := r.checkQuota(ctx, ref, content, limits.Quota)
	if err != nil {
		return File{}, err
	}
	release, err := r.slots.take(creator, limits)
	if err != nil {
		return File{}, err
	}
	defer release()
	upload, err := r.metadata.BeginUpload(ctx, ref.Owner, content.Size)
	if err != nil {
		return File{}, fmt.Errorf("beginning upload: %w", err)
	}
	blob, err := r.store(ctx, upload, content)
	if err != nil {
		return File{}, err
	}
	// Once the bytes are durable the publish is finished even if the client has
	// gone: its record costs less than sweeping the bytes.
	settled := context.WithoutCancel(ctx)

	file, condemned, err := r.metadata.Publish(settled, upload, Publication{
		Ref:       ref,
		Digest:    blob.Digest,
		Size:      blob.Size,
		Creator:   creator,
		Created:   r.now(),
		Confirmed: r.confirm(settled, blob),
		Quota:     limits.Quota,
	})
	if condemned {
		r.wakeReaper()
	}
	switch {
	case err == nil:
		r.noteReplaced(file.Blob)
		return file, nil
	case errors.Is(err, ErrExists), errors.Is(err, ErrQuotaBytes), errors.Is(err, ErrQuotaVersions):
		return File{}, err
	}
	err = fmt.Errorf("publishing: %w", err)
	if errors.Is(err, ErrNoSpace) || errors.Is(err, ErrUnavailable) {
		// It did not happen: nothing refers to the bytes, and the room may be needed.
		err = errors.Join(err, r.blobs.Delete(settled, upload.Locator))
	}
	err = errors.Join(err, r.metadata.AbandonUpload(settled, upload))
	wake(r.unswept) // for what is still there
	return File{}, err
}

// store writes the content to the blob store and returns what was written,
// durable. Otherwise, and when the body panics, it leaves nothing of the upload.
func (r *Registry) store(ctx context.Context, upload Upload, content Content) (blob Blob, err error) {
	stored := false
	defer func() {
		if !stored {
			err = errors.Join(err, r.metadata.AbandonUpload(context.WithoutCancel(ctx), upload))
		}
	}()
	writer, err := r.blobs.Create(ctx, upload.Locator, content.Size)
	if err != nil {
		return Blob{}, fmt.Errorf("creating blob: %w", err)
	}
	defer func() {
		if !stored {
			err = errors.Join(err, writer.Abort())
		}
	}()
	blob.Locator = upload.Locator
	blob.Digest, blob.Size, err = transfer(uploadBuffers, writer, content)
	if err != nil {
		return Blob{}, err
	}
	if content.SHA256 != nil && *content.SHA256 != blob.Digest {
		return Blob{}, &BodyError{Err: fmt.Errorf("%w: SHA-256 is %s", ErrDigest, blob.Digest)}
	}
	if err := writer.Commit(ctx); err != nil {
		return Blob{}, fmt.Errorf("committing blob: %w", err)
	}
	stored = true
	return blob, nil
}

// fill reads until the buffer is full or the reader fails; io.EOF is its end.
// io.ReadFull would turn a short end into io.ErrUnexpectedEOF, which is what a
// request body says when it was cut.
func fill(reader io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = reader.Read(buffer[n:])
		n += read
	}
	return n, err
}

// confirm returns the locator of the blob already known under the digest when its
// bytes are in place, so that the new file can share it. Any doubt means no: the
// new bytes then replace the old.
func (r *Registry) confirm(ctx context.Context, blob Blob) Locator {
	known, err := r.metadata.FindBlob(ctx, blob.Digest)
	if errors.Is(err, ErrBlobNotFound) {
		return ""
	}
	var size int64
	if err == nil && r.damage.has(known) {
		err = ErrDamaged // of the right size, maybe
	}
	if err == nil {
		size, err = r.blobs.Stat(ctx, known.Locator)
	}
	if err != nil || size != blob.Size {
		r.log.Warn("known blob is not in place; the new upload replaces it",
			slog.String("digest", blob.Digest.String()), slog.Int64("size", size), slog.Any("error", err))
		return ""
	}
	return known.Locator
}
