package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// Content is the bytes that a client asks to publish.
type Content struct {
	Body io.Reader
	// Size in bytes, -1 when unknown.
	Size int64
	// SHA256 is the digest that the client says the bytes have. Nil when it says
	// none.
	SHA256 *store.Digest
}

// Publish stores the content and makes it visible as ref. When it returns nil,
// bytes and record survive a crash and a power cut. Nothing is visible after ErrExists,
// ErrChanged, ErrDraft, ErrNotDraft, ErrQuotaBytes, ErrQuotaVersions, ErrQuotaFiles, ErrQuotaDrafts,
// ErrBusy, ErrNoSpace, ErrUnavailable, ErrDigest and *BodyError. After any other error
// the outcome is open until the store is opened again.
//
// The caller has already refused a duplicate before its body was read (CheckPublish). Here
// the store decides between publishes that race.
func (r *Registry) Publish(ctx context.Context, ref store.Ref, creator string, content Content, limits Limits) (store.File, error) {
	content, counted, err := r.checkQuota(ctx, ref, content, 0, limits)
	if err != nil {
		return store.File{}, err
	}
	defer counted.End()
	body, release, err := r.Admit(creator, limits, content)
	if err != nil {
		return store.File{}, err
	}
	defer release()
	content.Body = body
	if err := r.admit(ctx); err != nil {
		return store.File{}, err
	}
	blob, stored, err := r.writeBlob(ctx, content)
	if err != nil {
		return store.File{}, err
	}
	counted.End() // the store counts it from now on, in its transaction
	file, err := r.record(ctx, ref, creator, blob, stored, limits)
	if errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnavailable) {
		// It did not happen: nothing refers to the bytes, and the room may be needed.
		err = errors.Join(err, r.drop(ctx, blob.Locator))
	}
	return file, err
}

// record names bytes that are written. The publish is finished even if the client has
// gone: its record costs less than sweeping the bytes.
func (r *Registry) record(ctx context.Context, ref store.Ref, creator string, blob store.Blob, stored time.Time, limits Limits) (store.File, error) {
	recording, cancel := waiting.Finishing(ctx)
	defer cancel()
	file, condemned, err := r.metadata.Publish(recording, store.Publication{
		Ref:     ref,
		Blob:    blob,
		Stored:  stored,
		Creator: creator,
		Created: r.dates.Choose(ref, r.now()),
		Rank:    versions.Rank(ref.Version),
		Quota:   limits.Quota,

		Draft: limits.Draft, OnDuplicate: limits.Duplicate(), Current: limits.Current,
	})
	if condemned {
		r.WakeReaper()
	}
	switch {
	case err == nil:
		r.dates.Note(ref, file.Created, r.now())
		r.RecountDamage(recording)
		r.published.note(file.Size, condemned && limits.OnDuplicate == store.Reject)
		return file, nil
	case store.IsRefusal(err):
		return store.File{}, err
	}
	return store.File{}, fmt.Errorf("publishing: %w", err)
}

// admit asks whether the metadata store would take a record.
func (r *Registry) admit(ctx context.Context) error {
	if err := r.IsBehind(); err != nil {
		return err
	}
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	if err := r.metadata.Admit(ctx); err != nil {
		return fmt.Errorf("asking for room: %w", err)
	}
	return nil
}

// drop deletes bytes that a publish stored and that nothing refers to.
func (r *Registry) drop(ctx context.Context, locator store.Locator) error {
	ctx, cancel := waiting.Finishing(ctx)
	defer cancel()
	return r.blobs.Delete(ctx, locator)
}

// writeBlob writes the content to the blob store and returns what was committed,
// and when its last byte was. Otherwise, and when the body panics, it leaves nothing.
func (r *Registry) writeBlob(ctx context.Context, content Content) (blob store.Blob, stored time.Time, err error) {
	writer, err := ask(ctx, r.blobs.Create, content.Size)
	if err != nil {
		return store.Blob{}, stored, fmt.Errorf("creating blob: %w", err)
	}
	committed := false
	defer func() {
		if !committed {
			err = errors.Join(err, writer.Abort())
		}
	}()
	blob.Digest, blob.Size, err = transfer.Copy(r.buffers, writer, content.Body, content.Size)
	if err != nil {
		return store.Blob{}, stored, err
	}
	if content.SHA256 != nil && *content.SHA256 != blob.Digest {
		return store.Blob{}, stored, &store.BodyError{Err: fmt.Errorf("%w: SHA-256 is %s", store.ErrDigest, blob.Digest)}
	}
	stored = r.metadata.Clock()
	ctx, cancel := waiting.Committing(ctx, blob.Size)
	defer cancel()
	if blob.Locator, err = writer.Commit(ctx); err != nil {
		return store.Blob{}, stored, fmt.Errorf("committing blob: %w", err)
	}
	committed = true
	return blob, stored, nil
}
