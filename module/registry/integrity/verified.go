package integrity

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// VerifiedReader reads a file from its beginning, and gives out its last piece, of
// at most 256 KiB, only when all of it has the file's digest. So no reader that
// stops at an error has the whole of a damaged file.
type VerifiedReader struct {
	ctx     context.Context
	keeper  *Keeper
	file    store.File
	content *transfer.Reader
	buffer  []byte
	release func()

	piece []byte // read, and fit to be given out
	began bool
	err   error // what follows the piece
}

// Verified returns a reader of a file that Open opened. The content is read from
// where it is, its beginning, and stays the caller's to close. Damage is dealt with
// as the scrub does. Release must be called.
func (k *Keeper) Verified(ctx context.Context, file store.File, content io.Reader) *VerifiedReader {
	v := &VerifiedReader{ctx: ctx, keeper: k, file: file, content: transfer.NewReader(content, file.Size)}
	v.buffer, v.release = transfer.ReadBuffers.Get(file.Size)
	return v
}

// Release gives back the reader's memory.
func (v *VerifiedReader) Release() { v.release() }

// Begin reads the first piece, which is all of a small file. ErrDamaged when that
// cannot be what was published.
func (v *VerifiedReader) Begin() error {
	if !v.began {
		v.next()
	}
	return v.Err()
}

// Err is why the reader stopped before the end of the file, or nil.
func (v *VerifiedReader) Err() error {
	if v.err == io.EOF {
		return nil
	}
	return v.err
}

// Read implements io.Reader.
func (v *VerifiedReader) Read(p []byte) (int, error) {
	for len(v.piece) == 0 {
		if v.err != nil {
			return 0, v.err
		}
		v.next()
	}
	n := copy(p, v.piece)
	v.piece = v.piece[n:]
	return n, nil
}

// next reads a piece and decides whether it may be given out.
func (v *VerifiedReader) next() {
	v.began = true
	n, err := transfer.Fill(v.content, v.buffer)
	switch {
	case err == io.EOF:
		if v.err = v.compare(); v.err != io.EOF {
			return
		}
	case err != nil:
		v.err = v.damaged(fmt.Errorf("reading blob: %w", err))
		return
	}
	v.piece = v.buffer[:n]
}

// compare judges a file that was read to its end: io.EOF, or what is wrong.
func (v *VerifiedReader) compare() error {
	if err := v.keeper.Compare(v.ctx, v.file.Blob, v.content.Digest()); err != nil {
		return err
	}
	return io.EOF
}

// damaged notes why a file cannot be read.
func (v *VerifiedReader) damaged(err error) error {
	v.keeper.NoteDamage(v.ctx, v.file.Blob, err)
	return fmt.Errorf("%w: %w", store.ErrDamaged, err)
}

// Seek implements io.Seeker as far as asking for the size and going back to where
// the reader is need it.
func (v *VerifiedReader) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd && offset == 0:
		return v.file.Size, nil
	case whence == io.SeekStart && offset == 0 && v.file.Size-v.content.Left() == int64(len(v.piece)):
		return 0, nil
	}
	return 0, errors.New("a verified reader reads from the beginning to the end")
}

// VerifyContent reads all of a file that Open opened, before any of it was read, and
// leaves the content at its beginning. One reading is for all who ask at the same time,
// and a few files are read at once; the others wait. It ends with ctx. ErrDamaged when
// the file is not what was published, which is dealt with as the scrub does.
func (k *Keeper) VerifyContent(ctx context.Context, file store.File, content io.ReadSeeker) error {
	err := k.verifying.wait(ctx, file.Locator, func(ctx context.Context) error { return k.verifyStored(ctx, file) })
	if !errors.Is(err, store.ErrBlobNotFound) {
		return err
	}
	// Deleted meanwhile: only those who have it open can read it.
	err = k.verifying.within(ctx, func(ctx context.Context) error { return k.verify(ctx, file, content) })
	if err != nil {
		return err
	}
	_, err = content.Seek(0, io.SeekStart)
	return err
}

// verifyStored reads a file from the store. ErrBlobNotFound when it is not there.
func (k *Keeper) verifyStored(ctx context.Context, file store.File) error {
	content, err := k.blobs.Open(ctx, file.Locator, file.Size)
	if err != nil {
		return fmt.Errorf("opening blob: %w", err)
	}
	defer content.Close()
	return k.verify(ctx, file, content)
}

func (k *Keeper) verify(ctx context.Context, file store.File, content io.Reader) error {
	digest, err := transfer.Hash(content, file.Size, func([]byte) error { return ctx.Err() })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		k.NoteDamage(ctx, file.Blob, err)
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return k.Compare(ctx, file.Blob, digest)
}

// Compare judges a blob by the digest of what was read, and deals with damage. ErrDamaged.
func (k *Keeper) Compare(ctx context.Context, blob store.Blob, digest store.Digest) error {
	if digest == blob.Digest {
		k.noteGood(ctx, blob)
		return nil
	}
	damage := WrongDigest(blob, digest)
	err := fmt.Errorf("%w: blob %s has %s", store.ErrDamaged, blob.Locator, damage.Found)
	ctx, cancel := waiting.Committing(ctx, blob.Size) // bytes are put aside
	defer cancel()
	if _, reportErr := k.Report(ctx, damage); reportErr != nil {
		err = errors.Join(err, reportErr)
	}
	return err
}
