package moving

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Source is a registry that is copied.
type Source interface {
	// Lines begins to read a backup without bytes: of the changes since a position, or for the
	// zero position of what there is (backup.Options.Told). ErrNotContinued.
	Lines(ctx context.Context, since store.Position) (io.ReadCloser, error)

	// Open opens the bytes of a digest. ErrBlobNotFound when no file has it any more,
	// ErrDamaged when the bytes are not there, ErrUnavailable, of its Read too, when they may be
	// there later, and ErrCut of its Read when a server does not say why it ends. Several goroutines
	// may call it at once.
	Open(ctx context.Context, digest store.Digest) (io.ReadCloser, error)
}

// ErrCut is store.ErrUnavailable of one content: the source ended it, for a reason that may pass.
var ErrCut = fmt.Errorf("%w: the source cut its answer", store.ErrUnavailable)

// Opened is a Source that this process has open.
type Opened struct{ *registry.Registry }

// Lines implements Source.
func (o Opened) Lines(ctx context.Context, since store.Position) (io.ReadCloser, error) {
	options := backup.Options{Since: since, Told: since == (store.Position{}), WithoutBytes: true}
	return backup.ReadWritten(func(w io.Writer) error {
		_, err := backup.Make(ctx, o.Registry, options, w)
		return err
	}), nil
}

// Open implements Source.
func (o Opened) Open(ctx context.Context, digest store.Digest) (io.ReadCloser, error) {
	content, _, err := OpenBlob(ctx, o.Registry, digest)
	return content, err
}

// attempts bounds how often bytes are followed that move: each time somebody published them
// again.
const attempts = 8

// OpenBlob opens the bytes of a digest, whose size it returns.
func OpenBlob(ctx context.Context, from *registry.Registry, digest store.Digest) (io.ReadCloser, int64, error) {
	for attempt := 1; ; attempt++ {
		blob, err := from.Metadata().FindBlob(ctx, digest)
		if err != nil {
			return nil, 0, err
		}
		content, err := from.Blobs().Open(ctx, blob.Locator, blob.Size)
		if err == nil {
			return &judged{content, ctx, from, blob}, blob.Size, nil
		}
		if !errors.Is(err, store.ErrBlobNotFound) {
			return nil, 0, judge(ctx, from, blob, err)
		}
		now, err := from.Metadata().FindBlob(ctx, digest)
		if err == nil && now.Locator == blob.Locator || attempt == attempts {
			return nil, 0, fmt.Errorf("%w: no bytes at %s", store.ErrDamaged, blob.Locator)
		}
	}
}

// judged tells what cannot be read as damage, if it is.
type judged struct {
	io.ReadCloser
	ctx  context.Context
	from *registry.Registry
	blob store.Blob
}

func (j *judged) Read(p []byte) (int, error) {
	n, err := j.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = judge(j.ctx, j.from, j.blob, err)
	}
	return n, err
}

func judge(ctx context.Context, from *registry.Registry, blob store.Blob, err error) error {
	damage, passes := from.Judge(ctx, blob, err)
	if passes != nil {
		return passes
	}
	return fmt.Errorf("%w: %s: %w", store.ErrDamaged, damage.Kind, err)
}
