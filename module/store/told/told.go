// Package told is the part of the contract for a metadata store that tells all that it has, as
// the lines of a checkpoint, and can be made of them. Both interfaces are found by assertion.
package told

import (
	"context"
	"io"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Exporter is implemented by a MetadataStore that tells all that it has. Backups are made of
// that where it is not Journaled, and what moves to another store is.
type Exporter interface {
	// Export writes the lines of a checkpoint: what there was at one moment, with its
	// downloads. It returns the position that they stand for. A store that has nothing may
	// write none. Memory does not grow with what is told, and nothing but a view of the store
	// waits for w. ErrUnavailable; ErrDamaged when it is not what was written. May run
	// concurrently with everything else.
	Export(ctx context.Context, w io.Writer) (store.Position, error)
}

// Importer is implemented by a MetadataBackend whose stores keep no journal, and are
// Exporters.
type Importer interface {
	// Import fills a new store for a root with the lines of a checkpoint, or with nothing when
	// there are none, and gives it an ID and a position. It is done as a whole or not at all.
	// ErrFormat when the store is not new, ErrLocked while it is open, ErrDamaged when a line
	// is not what was written. After ErrUnavailable it may have been done.
	Import(ctx context.Context, root, id string, at store.Position, lines io.Reader, log *slog.Logger) error
}
