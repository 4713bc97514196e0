package backup

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Totals is about how much a backup contains, for a display of progress. It is not
// exact when files are published or deleted while the backup is made.
type Totals struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Plus returns the sum of both.
func (t Totals) Plus(other Totals) Totals {
	return Totals{Blobs: t.Blobs + other.Blobs, Bytes: t.Bytes + other.Bytes}
}

// expect says about how much a backup will contain. It ignores errors: making the backup
// meets them again, and returns them then.
func (b *backup) expect(ctx context.Context) (expected Totals) {
	if b.WithoutBytes {
		return expected
	}
	if b.Since == (store.Position{}) {
		_ = b.registry.EachBlob(ctx, store.Digest{}, func(blob store.Blob) error {
			expected = expected.Plus(Totals{Blobs: 1, Bytes: blob.Size})
			return nil
		})
		return expected
	}
	_ = b.readLines(ctx, func(piece linePiece) error {
		for _, change := range piece.changes {
			if change.NamesBytes() {
				expected = expected.Plus(Totals{Blobs: 1, Bytes: change.Size})
			}
		}
		return nil
	})
	return expected
}
