package store

import (
	"context"
	"io"
	"log/slog"
	"time"
)

const (
	// SweepAfter is how old bytes are, by the time of their last write, before a
	// sweep may delete them.
	SweepAfter = 24 * time.Hour
	// PublishWithin is how long after its bytes were stored a publish is taken. It
	// is so much shorter than SweepAfter that no difference between clocks, and no
	// publish that takes long, lets a sweep meet bytes that get a name. So nobody
	// needs to know which uploads are in progress.
	PublishWithin = SweepAfter / 2
)

// MetadataStore knows which files there are. All methods may run concurrently.
//
// A mutation that returned nil survives a crash of the process and of the machine, unless
// its comment says otherwise. A mutation that returned an error other than the named ones
// may or may not have happened. After Close, every method returns ErrUnavailable. A call
// whose context ends returns soon. When its mutation may still happen, it returns the error
// of the context and not ErrUnavailable.
type MetadataStore interface {
	Catalog
	Drafts

	// Admit tells, before the body of a publish is read, why the store would not take its
	// record now. It answers at once. ErrNoSpace when there is no space for one more
	// record, ErrUnavailable.
	Admit(ctx context.Context) error

	// Clock returns the time by the clock that Publish compares Publication.Stored
	// with. A store on a server may return an earlier time, never a later one, so
	// that it can answer at once. It works after Close too.
	Clock() time.Time

	// Publish makes the file visible, in one transaction.
	//
	// The bytes at p.Locator become the blob of p.Digest, for every file of that
	// digest: they were hashed just now, so a file never rests on bytes that nobody
	// looked at. The locator that they replace is condemned, and the blob's damage
	// is forgotten. The condemned result tells whether there are bytes for the reaper.
	//
	// ErrChanged when the file there is not p.Current, before all else;
	// ErrExists when the version has a file of that name that p.OnDuplicate does not let go;
	// ErrDraft or ErrNotDraft when p.Draft says other than the version; ErrQuotaBytes,
	// ErrQuotaVersions, ErrQuotaFiles or ErrQuotaDrafts when the owner would have more than
	// p.Quota with it. p.Locator is then condemned. A publication that was made already is
	// made once: what it returned is returned again. Bytes that are condemned already, or that
	// the blob of p.Digest or the file there has, are never condemned by it. Of condemned ones it
	// is refused with ErrUnavailable. It is refused too when the file there has them under another
	// digest. After ErrNoSpace and ErrUnavailable nothing
	// refers to p.Locator, and the caller deletes its bytes. ErrUnavailable too when
	// the bytes were stored more than PublishWithin ago: a sweep may take them
	// soon. After any other error the outcome is unknown and the caller must leave
	// the bytes alone.
	Publish(ctx context.Context, p Publication) (file File, condemned bool, err error)

	// Lookup finds a file. ErrPackageNotFound when the version does not exist,
	// ErrFileNotFound when it has no such file.
	Lookup(ctx context.Context, ref Ref) (File, error)

	// Usage returns how much an owner has. Publish compares the same numbers with a quota.
	// An owner that has nothing is not an error.
	Usage(ctx context.Context, owner string) (Usage, error)

	// AddDownloads counts downloads of at most MaxDownloads published files: all of them,
	// or none after ErrUnavailable. A file that does not exist any more is ignored. A file
	// whose record is damaged is ignored and logged. A crash may lose the counts of the
	// last seconds, and a rebuild of the database those since the last checkpoint.
	AddDownloads(ctx context.Context, downloads []Download) error

	// SetHashes keeps the other hashes of a blob. A blob that does not exist any more is
	// ignored. The hashes may be lost.
	SetHashes(ctx context.Context, digest Digest, hashes Hashes) error

	// FindBlob returns the blob of a digest. ErrBlobNotFound. Unlike Lookup, it returns
	// ErrUnavailable while the store is not sure that its record is the newest. Call it
	// before bytes that cannot be found are reported as lost.
	FindBlob(ctx context.Context, digest Digest) (Blob, error)

	// Blobs returns at most limit blobs whose digests come after the given one, in the
	// order of digests. The zero digest comes before all. When no blob is left, the result
	// is empty. Blobs published or deleted between two calls may or may not be seen.
	Blobs(ctx context.Context, after Digest, limit int) ([]Blob, error)

	// MarkDamage keeps what is wrong with the bytes of a blob, until the digest gets other
	// bytes or loses its last file. What was found first stays: wrong bytes are missing once
	// they are in quarantine. An empty kind says that the bytes are good. News tells whether
	// the opposite was known before. ErrBlobNotFound when the digest has no bytes at blob.Locator (any more),
	// ErrNoSpace, ErrUnavailable. It may be lost in a crash of the last seconds, and where a
	// database is made anew: whoever reads the blob again finds it again.
	MarkDamage(ctx context.Context, blob Blob, kind DamageKind) (news bool, err error)

	// Damaged returns how many blobs are marked as damaged, and the first digests of these,
	// at most limit, in the order of digests.
	Damaged(ctx context.Context, limit int) (count int64, digests []Digest, err error)

	// DeleteFile deletes a file, and its version when it was the last one, if the version
	// has the state act.Only. ErrPackageNotFound, ErrFileNotFound, ErrChanged when the file is
	// not act.Current, ErrNoSpace, ErrUnavailable.
	DeleteFile(ctx context.Context, ref Ref, act Act) error

	// DeleteVersion deletes a version with its files, if it has the state act.Only,
	// atomically and in time that does not depend on the number of files.
	// ErrPackageNotFound, ErrNoSpace, ErrUnavailable.
	DeleteVersion(ctx context.Context, ref VersionRef, act Act) error

	// DeletePackage deletes a package with its versions, atomically and in time that does
	// not depend on the number of versions. ErrPackageNotFound, ErrNoSpace, ErrUnavailable.
	DeletePackage(ctx context.Context, owner, pkg string, act Act) error

	// Reclaim returns at most limit locators that no file refers to any more and whose
	// bytes may be deleted. While these are fewer than limit it cleans up what earlier
	// deletes left, and once there are some, no more than a bounded amount in one call. When
	// no locator is left, the result is empty. Locators that come with an error may be
	// deleted too: it is that of the clean-up.
	Reclaim(ctx context.Context, limit int) ([]Locator, error)

	// CleanUp cleans up a bounded amount of what earlier deletes left, and tells whether more is
	// left. ErrNoSpace, ErrUnavailable.
	CleanUp(ctx context.Context) (more bool, err error)

	// Bury says that the bytes of condemned locators are gone. Locators that are not
	// condemned are ignored. After a crash, buried locators may be condemned again.
	Bury(ctx context.Context, locators []Locator) error

	// Unnamed returns the given locators that no blob has and that are not condemned. The
	// locator of an upload that is not published yet is among them, so a caller that
	// deletes bytes must check their age (SweepAfter).
	Unnamed(ctx context.Context, locators []Locator) ([]Locator, error)

	// SaveScrub keeps the progress of a scrub. A crash may lose it. ErrUnavailable.
	SaveScrub(ctx context.Context, scrub Scrub) error

	// LastScrub returns the Scrub that SaveScrub kept, or the zero Scrub.
	LastScrub(ctx context.Context) (Scrub, error)

	// Condition returns the state of the store, at once and without asking the disk for
	// more than its free space. It works after Close too.
	Condition() Condition

	// ID returns the identity of the store, which is made at random with the store and
	// never changes.
	ID() string

	// Close waits for operations in progress and closes the store.
	Close() error
}

// BlobStore keeps bytes under locators. All methods may run concurrently. A context bounds
// the call that gets it, not the reader or writer that the call returns.
type BlobStore interface {
	// Create starts writing a blob of exactly size bytes, -1 when unknown. Nothing is
	// visible before the writer's Commit. A caller that announces a size writes that number
	// of bytes; a store may refuse another number. ErrNoSpace when the bytes would not
	// leave the store's reserve free.
	Create(ctx context.Context, size int64) (BlobWriter, error)

	// CreateAt is Create under a locator that a store of the same kind gave out: a
	// restore puts bytes back where the journal names them. A locator that has a
	// blob, or that the store could not have given out, is an error.
	CreateAt(ctx context.Context, locator Locator, size int64) (BlobWriter, error)

	// Open opens a blob of size bytes for reading. The reader goes on after the blob is
	// deleted. ErrBlobNotFound when there is no such blob, ErrDamaged when the blob has
	// another size, ErrUnavailable when the store cannot tell now: no answer, no permission
	// and a missing directory never mean a missing blob. The same holds for the errors of
	// the reader's Read.
	Open(ctx context.Context, locator Locator, size int64) (io.ReadSeekCloser, error)

	// Delete deletes a blob. An absent blob is not an error.
	Delete(ctx context.Context, locator Locator) error

	// Walk calls fn for each blob with its size and the time of its last write or a later
	// time, in no particular order, until fn returns an error, which Walk returns. Blobs
	// created or deleted meanwhile may or may not be seen. A file whose name does not have
	// the form of a locator of the store is not a blob.
	Walk(ctx context.Context, fn func(locator Locator, size int64, modified time.Time) error) error

	// Stat returns the size of a blob. ErrBlobNotFound.
	Stat(ctx context.Context, locator Locator) (size int64, err error)

	// Quarantine moves damaged bytes to a place where a person can look at them. Afterwards
	// there is no blob under the locator, so that a publish of the same content can replace
	// it. An absent blob is not an error.
	Quarantine(ctx context.Context, locator Locator) error

	// Condition tells how the store is, at once and without asking the disk for more
	// than its free space. It works after Close too.
	Condition() Condition

	// Bind ties the store to the metadata store with an ID, for ever. ErrMismatch when the
	// store is tied to another one, because a sweep would delete every blob of that one.
	Bind(ctx context.Context, metadataID string) error

	// KeepPosition keeps the highest position of the metadata's journal that the store
	// was told. ErrBehind when the given position is before the kept one, or has
	// another history: then the metadata is older than the blobs, and does not name
	// the newest of them. The kept position then stays. With lower the given position
	// is kept all the same.
	KeepPosition(ctx context.Context, at Position, lower bool) error

	// PurgeQuarantine deletes the blobs that were moved to the quarantine before a time,
	// and all but the newest keep of the others. It returns how many it deleted.
	PurgeQuarantine(ctx context.Context, before time.Time, keep int) (removed int, err error)

	// Sessions are uploads that come in several requests.
	Sessions

	// Close closes the store. Writers still open fail from then on; readers go on.
	Close() error
}

// Recoverer is implemented by a BlobStore whose opening may bring back blobs that were
// deleted before a crash.
type Recoverer interface {
	// Recovered returns the locators of the blobs that opening the store wrote again.
	// Locators that the metadata does not name belong to nobody, because their uploads
	// ended with the process.
	Recovered() []Locator
}

// BlobWriter writes one blob. Its methods must not run concurrently. Exactly one
// of Commit and Abort ends it; Abort after either does nothing.
type BlobWriter interface {
	// Write appends bytes. ErrNoSpace when the room is gone.
	io.Writer

	// Commit makes the blob visible, and returns its locator, which is used for this blob
	// and never again. When Commit returns nil, the bytes survive a crash and a power cut, or
	// will when the metadata store beside it returns from a mutation that names the locator.
	// After an error nothing is promised, and nothing may be retried: the bytes are gone,
	// or stay until a sweep deletes them.
	Commit(ctx context.Context) (Locator, error)

	// Abort drops what was written.
	Abort() error
}

// MetadataBackend is implemented by a module in the namespace generic_registry.metadata.
type MetadataBackend interface {
	// Identity names the resource that OpenMetadata would open for a root, such as
	// a resolved directory or a database's address without its secret. Two
	// backends of equal identity are the same store. It does no I/O that changes
	// anything.
	Identity(root string) string

	// OpenMetadata opens the store. An error for which IsState holds is a fault of
	// the store's state, any other a fault of the configuration (ErrLocked,
	// ErrFormat, a directory that cannot be made). The store logs to log.
	OpenMetadata(ctx context.Context, root string, log *slog.Logger) (MetadataStore, error)
}

// BlobBackend is implemented by a module in the namespace generic_registry.blobs.
type BlobBackend interface {
	// Identity names the resource that OpenBlobs would open for a root, as
	// MetadataBackend.Identity does for metadata.
	Identity(root string) string

	// OpenBlobs opens the store. Its errors are those of MetadataBackend.OpenMetadata.
	OpenBlobs(ctx context.Context, root string, log *slog.Logger) (BlobStore, error)
}

// MetadataAdjuster is implemented by a MetadataBackend with settings that can
// change while its store is open.
type MetadataAdjuster interface {
	// AdjustMetadata gives this backend's settings to a store that was opened by
	// a backend of the same kind and identity.
	AdjustMetadata(metadata MetadataStore) error
}

// BlobAdjuster is implemented by a BlobBackend with settings that can change
// while its store is open.
type BlobAdjuster interface {
	// AdjustBlobs gives the open store the settings that can change while it is open, as
	// MetadataAdjuster.AdjustMetadata does for metadata.
	AdjustBlobs(blobs BlobStore) error
}
