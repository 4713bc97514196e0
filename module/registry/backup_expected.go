package registry

import "context"

// BackupTotals is about how much a backup contains, for a display of progress. It is not
// exact when files are published or deleted while the backup is made.
type BackupTotals struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Plus returns the sum of both.
func (t BackupTotals) Plus(other BackupTotals) BackupTotals {
	return BackupTotals{Blobs: t.Blobs + other.Blobs, Bytes: t.Bytes + other.Bytes}
}

// expect says about how much a backup will contain. It ignores errors: making the backup
// meets them again, and returns them then.
func (b *backup) expect(ctx context.Context) (expected BackupTotals) {
	if b.Since == (Position{}) {
		_ = b.registry.eachBlob(ctx, Digest{}, func(blob Blob) error {
			expected = expected.Plus(BackupTotals{Blobs: 1, Bytes: blob.Size})
			return nil
		})
		return expected
	}
	_ = b.readLines(ctx, func(piece linePiece) error {
		for _, change := range piece.changes {
			if change.Operation == OperationPublish {
				expected = expected.Plus(BackupTotals{Blobs: 1, Bytes: change.Size})
			}
		}
		return nil
	})
	return expected
}
