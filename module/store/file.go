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
	// Hashes of the bytes that are known besides the digest. Empty when they are not.
	Hashes Hashes
	// Downloads is how often the file was downloaded, Downloaded when that was last. Both
	// may be behind by a few seconds, and by more after damage.
	Downloads  int64
	Downloaded time.Time
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
	// Damage is what is known to be wrong with the bytes. They may be whole again.
	Damage DamageKind
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
	// Draft publishes into a draft, which is made if there is none.
	Draft bool
	// OnDuplicate is what happens when the version has a file of that name.
	OnDuplicate OnDuplicate
	// Current is the ID that the file there must still have; zero when there must be none. Nil
	// for whatever there is.
	Current *int64
	// Quota is what the owner may have with this file.
	Quota Quota
}

// OnDuplicate is what a publish under a name that is taken does.
type OnDuplicate int

const (
	// Reject refuses it.
	Reject OnDuplicate = iota
	// Same takes it when the digest is the same: the new bytes are those of the blob from
	// then on, and nothing else changes. Other bytes are refused.
	Same
	// Replace is Same, and has other bytes take the name: the file is a new one, with an ID
	// and a time of its own.
	Replace
)

// CheckState reports whether the version that there is can take the publication. ErrDraft,
// ErrNotDraft.
func (p Publication) CheckState(isDraft bool) error {
	switch {
	case isDraft && !p.Draft:
		return ErrDraft
	case p.Draft && !isDraft:
		return ErrNotDraft
	}
	return nil
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
	// Only is the state that a version must have of which something is deleted. One of
	// another state is ErrPackageNotFound. Zero is any.
	Only State
	// Current is the ID that a file must still have of which a name is deleted. Zero for any.
	Current int64
}

// State is whether a version is published.
type State int

// The states of versions.
const (
	// Any is every state.
	Any State = iota
	// Published is that of versions that everybody sees who may read them.
	Published
	// Drafted is that of drafts.
	Drafted
)

// Has tells whether a version is in the state.
func (s State) Has(isDraft bool) bool { return s == Any || (s == Drafted) == isDraft }
