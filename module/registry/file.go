package registry

import "time"

// File is a published file as a store knows it.
type File struct {
	// Ref has the names in the spelling of the first publish: the owner's,
	// package's and version's is that of the version's first file.
	Ref
	Blob
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
	Ref     Ref
	Digest  Digest
	Size    int64
	Creator string
	Created time.Time

	// Confirmed is the locator of the blob that was already known under Digest,
	// when its bytes have just been found in place and of the right size. Empty
	// when there is none. A store shares only a confirmed blob; otherwise the
	// new upload takes its place, which heals a lost one under every name.
	Confirmed Locator

	// Quota is what the owner may have with this file.
	Quota Quota
}

// Upload is an upload under way, as BeginUpload gave it out.
type Upload struct {
	Locator Locator
	// Size in bytes, -1 when unknown.
	Size int64
}

// Act is who makes a change, and when.
type Act struct {
	// User is empty for what nobody in particular did.
	User string
	Time time.Time
}
