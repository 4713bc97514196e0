package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Reading is a file that was found. Its bytes are opened when they are asked for. It belongs
// to one goroutine.
type Reading struct {
	store.File
	registry *Registry
	draft    bool // it is of one
}

// ErrReplaced: between finding a file and opening its bytes, other bytes have taken its
// name. Whoever finds the file again reads those.
var ErrReplaced = fmt.Errorf("%w: the file was replaced while it was opened", store.ErrUnavailable)

// lookupAttempts bounds how often opening follows a file whose bytes move: each round means
// that a delete and a publish happened in between.
const lookupAttempts = 8

// Find finds a file to be read. ErrPackageNotFound, ErrFileNotFound.
func (r *Registry) Find(ctx context.Context, ref store.Ref) (*Reading, error) {
	file, err := r.Lookup(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &Reading{file, r, false}, nil
}

// Open finds a file and opens its bytes, as Reading.Open does, but for ErrReplaced.
func (r *Registry) Open(ctx context.Context, ref store.Ref) (store.File, io.ReadSeekCloser, error) {
	for range lookupAttempts {
		found, err := r.Find(ctx, ref)
		if err != nil {
			return store.File{}, nil, err
		}
		content, err := found.Open(ctx)
		if !errors.Is(err, ErrReplaced) {
			return found.File, content, err
		}
	}
	return store.File{}, nil, ErrReplaced
}

// IsDamaged tells whether the bytes are known to be damaged. They may be whole again.
func (f *Reading) IsDamaged() bool { return f.Damage != "" }

// RedirectURL returns a link from which a client can fetch the bytes itself, for a while.
// Empty when they are to be sent. The header is what the answer at the link says.
func (f *Reading) RedirectURL(ctx context.Context, header store.Header) (link string, err error) {
	redirector, ok := f.registry.blobs.(store.Redirector)
	if !ok {
		return "", nil
	}
	return redirector.RedirectURL(ctx, f.File, header)
}

// Open opens the bytes. The reader stays valid when the file is deleted. ErrPackageNotFound
// and ErrFileNotFound when the file is not there any more, ErrReplaced when it is another
// one; ErrDamaged when its bytes are not there, which is noted as the scrub would.
func (f *Reading) Open(ctx context.Context) (io.ReadSeekCloser, error) {
	return f.OpenSection(ctx, store.Whole(f.Size))
}

// OpenSection is Open for who will go to a section and read that, or does not know yet which
// one, as a section without bytes says. The reader stands at the beginning of the file.
func (f *Reading) OpenSection(ctx context.Context, want store.Section) (io.ReadSeekCloser, error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	r := f.registry
	for range lookupAttempts {
		content, err := store.OpenSection(ctx, r.blobs, f.Locator, f.Size, want)
		if err == nil {
			return content, nil
		}
		if !errors.Is(err, store.ErrBlobNotFound) {
			r.NoteDamage(ctx, f.Blob, err)
			return nil, fmt.Errorf("opening blob: %w", err)
		}
		// Deleted, or replaced, between the two steps: what is true now?
		now, err := f.lookAgain(ctx)
		switch {
		case err != nil:
			return nil, err
		case now.Locator == f.Locator:
			if _, err := r.metadata.FindBlob(ctx, f.Digest); errors.Is(err, store.ErrUnavailable) {
				return nil, fmt.Errorf("looking for the blob: %w", err)
			}
			r.NoteDamage(ctx, f.Blob, store.ErrBlobNotFound)
			return nil, fmt.Errorf("%w: no bytes at %s", store.ErrDamaged, f.Locator)
		case now.Digest != f.Digest:
			return nil, ErrReplaced
		}
		f.File = now // the same bytes in another place
	}
	return nil, fmt.Errorf("%w: bytes moved %d times", store.ErrUnavailable, lookupAttempts)
}

// lookAgain finds the file once more. A draft may have been published meanwhile.
func (f *Reading) lookAgain(ctx context.Context) (store.File, error) {
	if f.draft {
		if file, err := f.registry.metadata.LookupDraft(ctx, f.Ref); err == nil {
			return file, nil
		}
	}
	return f.registry.metadata.Lookup(ctx, f.Ref)
}

// OpenVerified is Open for a reader from the beginning to the end: the last piece is given
// out only when all of the file has its digest. ErrDamaged when the first piece, which is all
// of a small file, cannot be what was published.
func (f *Reading) OpenVerified(ctx context.Context) (io.ReadSeekCloser, error) {
	content, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	v := &verifiedContent{f.registry.Verified(ctx, f.File, content), content}
	if err := v.Begin(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// OpenRange is Open for a reader of parts, of which the digest says nothing: all of the file
// is read and compared before. It ends with ctx.
func (f *Reading) OpenRange(ctx context.Context) (io.ReadSeekCloser, error) {
	content, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.registry.VerifyContent(ctx, f.File, content); err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return content, nil
}

// verifiedContent closes what it reads.
type verifiedContent struct {
	*integrity.VerifiedReader
	content io.Closer
}

func (v *verifiedContent) Close() error {
	v.Release()
	return v.content.Close()
}
