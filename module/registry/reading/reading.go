// Package reading finds files and opens their bytes. Between these two steps the bytes may
// move or be deleted: opening a file follows them.
package reading

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Finder finds files in a pair of stores. All methods may run concurrently.
type Finder struct {
	metadata store.MetadataStore
	blobs    store.BlobStore
	keeper   *integrity.Keeper
}

// NewFinder returns a finder that tells the keeper of damage that it meets.
func NewFinder(metadata store.MetadataStore, blobs store.BlobStore, keeper *integrity.Keeper) *Finder {
	return &Finder{metadata: metadata, blobs: blobs, keeper: keeper}
}

// File is a file that was found. Its bytes are opened when they are asked for. It belongs
// to one goroutine.
type File struct {
	store.File
	finder *Finder
	draft  bool // the file is one of a draft
}

// ErrReplaced says that other bytes have taken the name of a file between finding it and
// opening its bytes. Whoever finds the file again reads the new bytes.
var ErrReplaced = fmt.Errorf("%w: the file was replaced while it was opened", store.ErrUnavailable)

// lookupAttempts bounds how often opening follows a file whose bytes move: each round means
// that a delete and a publish happened in between.
const lookupAttempts = 8

// Lookup finds a published file. ErrPackageNotFound, ErrFileNotFound.
func (f *Finder) Lookup(ctx context.Context, ref store.Ref) (store.File, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	return f.metadata.Lookup(ctx, ref)
}

// LookupDraft finds a file of a draft, for users who may write the draft.
// ErrPackageNotFound, ErrFileNotFound.
func (f *Finder) LookupDraft(ctx context.Context, ref store.Ref) (store.File, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	return f.metadata.LookupDraft(ctx, ref)
}

// Find finds a published file to be read. ErrPackageNotFound, ErrFileNotFound.
func (f *Finder) Find(ctx context.Context, ref store.Ref) (*File, error) {
	file, err := f.Lookup(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &File{file, f, false}, nil
}

// FindDraft finds a file of a draft to be read, for users who may write the draft.
// ErrPackageNotFound, ErrFileNotFound.
func (f *Finder) FindDraft(ctx context.Context, ref store.Ref) (*File, error) {
	file, err := f.LookupDraft(ctx, ref)
	if err != nil {
		return nil, err
	}
	return &File{file, f, true}, nil
}

// Open finds a published file and opens its bytes, as File.Open does. It never returns
// ErrReplaced before several attempts.
func (f *Finder) Open(ctx context.Context, ref store.Ref) (store.File, io.ReadSeekCloser, error) {
	for range lookupAttempts {
		found, err := f.Find(ctx, ref)
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
func (f *File) IsDamaged() bool { return f.Damage != "" }

// RedirectURL returns a link from which a client can fetch the bytes itself, for a while.
// Empty when they are to be sent. The header is what the answer at the link says.
func (f *File) RedirectURL(ctx context.Context, header remote.Header) (link string, err error) {
	redirector, ok := f.finder.blobs.(remote.Redirector)
	if !ok {
		return "", nil
	}
	return redirector.RedirectURL(ctx, f.File, header)
}

// Open opens the bytes. The reader stays valid when the file is deleted. ErrPackageNotFound
// and ErrFileNotFound when the file is not there any more, ErrReplaced when it is another
// one; ErrDamaged when its bytes are not there, which is noted as the scrub would.
func (f *File) Open(ctx context.Context) (io.ReadSeekCloser, error) {
	return f.OpenSection(ctx, remote.Whole(f.Size))
}

// OpenSection is Open for who will go to a section and read that, or does not know yet which
// one, as a section without bytes says. The reader stands at the beginning of the file.
func (f *File) OpenSection(ctx context.Context, want remote.Section) (io.ReadSeekCloser, error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	for range lookupAttempts {
		content, err := remote.OpenSection(ctx, f.finder.blobs, f.Locator, f.Size, want)
		if err == nil {
			return content, nil
		}
		if !errors.Is(err, store.ErrBlobNotFound) {
			f.finder.keeper.NoteDamage(ctx, f.Blob, err)
			return nil, fmt.Errorf("opening blob: %w", err)
		}
		// Deleted, or replaced, between the two steps: what is true now?
		now, err := f.lookAgain(ctx)
		switch {
		case err != nil:
			return nil, err
		case now.Locator == f.Locator:
			if _, err := f.finder.metadata.FindBlob(ctx, f.Digest); errors.Is(err, store.ErrUnavailable) {
				return nil, fmt.Errorf("looking for the blob: %w", err)
			}
			f.finder.keeper.NoteDamage(ctx, f.Blob, store.ErrBlobNotFound)
			return nil, fmt.Errorf("%w: no bytes at %s", store.ErrDamaged, f.Locator)
		case now.Digest != f.Digest:
			return nil, ErrReplaced
		}
		f.File = now // the same bytes in another place
	}
	return nil, fmt.Errorf("%w: bytes moved %d times", store.ErrUnavailable, lookupAttempts)
}

// lookAgain finds the file once more. A draft may have been published meanwhile.
func (f *File) lookAgain(ctx context.Context) (store.File, error) {
	if f.draft {
		if file, err := f.finder.metadata.LookupDraft(ctx, f.Ref); err == nil {
			return file, nil
		}
	}
	return f.finder.metadata.Lookup(ctx, f.Ref)
}

// OpenVerified is Open for a reader from the beginning to the end: the last piece is given
// out only when all of the file has its digest. ErrDamaged when the first piece, which is all
// of a small file, cannot be what was published.
func (f *File) OpenVerified(ctx context.Context) (io.ReadSeekCloser, error) {
	content, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	v := &verifiedContent{f.finder.keeper.Verified(ctx, f.File, content), content}
	if err := v.Begin(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// OpenRange is Open for a reader of parts, of which the digest says nothing: all of the file
// is read and compared before. It ends with ctx.
func (f *File) OpenRange(ctx context.Context) (io.ReadSeekCloser, error) {
	content, err := f.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.finder.keeper.VerifyContent(ctx, f.File, content); err != nil {
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
