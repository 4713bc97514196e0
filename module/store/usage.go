package store

import "context"

// Quota is how much an owner may store. Zero is no limit.
type Quota struct {
	// Bytes of all files together; equal contents count as often as they were
	// published.
	Bytes int64
	// Versions of all packages together.
	Versions int64
	// Files of all packages together, empty ones too.
	Files int64
	// Drafts that there are at once. They count as versions too.
	Drafts int64
}

// Usage is how much an owner stores, counted as a quota does: drafts too, which Drafts
// counts once more.
type Usage struct{ Bytes, Versions, Files, Drafts int64 }

// Totals is what there is in all. Versions that are deleted do not count, bytes count as
// often as they were published.
type Totals struct{ Owners, Versions, Bytes int64 }

// Totaled is implemented by a MetadataStore that can say what there is in all. It may
// run concurrently with everything else.
type Totaled interface {
	// Totals counts the owners that have something, and what they have.
	// ErrUnavailable.
	Totals(ctx context.Context) (Totals, error)
}

// Check reports whether an owner may have so much, whatever of that are drafts.
// ErrQuotaVersions, ErrQuotaFiles, ErrQuotaBytes.
func (q Quota) Check(u Usage) error {
	if q.Versions > 0 && u.Versions > q.Versions {
		return ErrQuotaVersions
	}
	if q.Files > 0 && u.Files > q.Files {
		return ErrQuotaFiles
	}
	if q.Bytes > 0 && u.Bytes > q.Bytes {
		return ErrQuotaBytes
	}
	return nil
}
