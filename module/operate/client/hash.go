package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// HashFile returns the SHA-256 of a file of this machine that has size bytes, and has no more
// of them at the end: somebody may be writing it. ErrLocal.
func HashFile(ctx context.Context, opened *os.File, size int64) (digest store.Digest, err error) {
	digest, err = transfer.Hash(io.NewSectionReader(opened, 0, size), size, func([]byte) error { return ctx.Err() })
	switch {
	case errors.Is(err, transfer.ErrShort):
		return digest, fmt.Errorf("%w: %s has become shorter", ErrLocal, opened.Name())
	case err != nil:
		return digest, fmt.Errorf("%w: %s: %w", ErrLocal, opened.Name(), err)
	}
	info, err := opened.Stat()
	if err != nil {
		return digest, fmt.Errorf("%w: %w", ErrLocal, err)
	}
	if info.Size() != size {
		return digest, fmt.Errorf("%w: %s has changed: it had %d bytes, and has %d", ErrLocal, opened.Name(), size, info.Size())
	}
	return digest, nil
}
