package registry

import "context"

// BackupTotals is about how much a backup has, for whoever shows progress. What is
// published, deleted or shared while it is made is not exact.
type BackupTotals struct {
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Plus is the sum of two.
func (t BackupTotals) Plus(other BackupTotals) BackupTotals {
	return BackupTotals{Blobs: t.Blobs + other.Blobs, Bytes: t.Bytes + other.Bytes}
}

// expect says about how much a backup will have. What keeps it from knowing is met
// again when the backup is made, and is told then.
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
