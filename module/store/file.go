package store

import (
	"fmt"
	"time"
)

// File is a published file as a store knows it.
type File struct {
	// Ref has the names as first spelled: the owner's, the package's and the version's by
	// the first file of each that there was since it had none.
	Ref
	Blob
	// ID is of this file and no other, and above those of files published earlier.
	ID int64
	// Creator is the user who published the file.
	Creator string
	// Created is when it was published.
	Created time.Time
}

// Blob is stored bytes: where they lie, what they are.
type Blob struct {
	Locator Locator
	Digest  Digest
	// Size in bytes.
	Size int64
}

// Publication is what a client asks to publish, once its bytes are stored.
type Publication struct {
	Ref Ref
	// Blob is the bytes. No other publication has their locator.
	Blob
	// Stored is when all bytes had been written, by MetadataStore.Clock.
	Stored  time.Time
	Creator string
	Created time.Time
	// Rank is what versions of a package are sorted by, highest first, in the order of
	// bytes: made of the version's name by who publishes. Empty for one that has no place in
	// that order. No rank may be the beginning of another.
	Rank string
	// Quota is what the owner may have with this file.
	Quota Quota
}

// CheckAge reports, by the clock of a metadata store, that it is too late to publish
// the bytes. ErrUnavailable.
func (p Publication) CheckAge(now time.Time) error {
	if age := now.Sub(p.Stored); age > PublishWithin {
		return fmt.Errorf("%w: the bytes were stored %v ago", ErrUnavailable, age.Round(time.Second))
	}
	return nil
}

// Act is who makes a change, and when.
type Act struct {
	// User is empty for what nobody in particular did.
	User string
	Time time.Time
}
