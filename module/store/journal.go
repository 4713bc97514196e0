package store

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Position is a place in a journal: its first changes up to one.
type Position struct {
	// Sequence is the number of the last change; the first is 1, and 0 is before
	// all.
	Sequence uint64 `json:"seq"`
	// Chain is the checksum of that change and all before it.
	Chain Digest `json:"chain"`
}

// CheckFollows reports whether a store at this position can have been at another one
// before. ErrBehind.
func (p Position) CheckFollows(earlier Position) error {
	switch {
	case p.Sequence < earlier.Sequence:
		return fmt.Errorf("%w: the metadata has %d changes, and the blobs have seen %d", ErrBehind, p.Sequence, earlier.Sequence)
	case p.Sequence == earlier.Sequence && p.Chain != earlier.Chain:
		return fmt.Errorf("%w: change %d of the metadata is another one than the blobs have seen", ErrBehind, p.Sequence)
	}
	return nil
}

// Operation says what a change did.
type Operation string

// The changes that a journal knows.
const (
	OperationPublish       Operation = "publish"
	OperationPublishDraft  Operation = "publish_draft"
	OperationRenew         Operation = "renew" // the same bytes, in another place
	OperationDeleteFile    Operation = "delete_file"
	OperationDeleteVersion Operation = "delete_version"
	OperationDeletePackage Operation = "delete_package"
	OperationCreateToken   Operation = "create_token"
	OperationRevokeToken   Operation = "revoke_token"
)

// What a checkpoint knows besides: its first line and its last, and the version that the
// files after it are of. Its other lines publish files and make tokens.
const (
	OperationCheckpoint Operation = "checkpoint"
	OperationVersion    Operation = "version"
	OperationEnd        Operation = "end"
)

// Change is one committed change, as a journal has it: a line of JSON.
type Change struct {
	// Sequence numbers the changes without a gap.
	Sequence uint64 `json:"seq"`
	// Synced is the last change that was durable before this one was written.
	Synced uint64 `json:"synced"`
	// Time is when it was made, by the clock of the machine.
	Time      time.Time `json:"time"`
	Operation Operation `json:"op"`
	// User who made it.
	User string `json:"user,omitempty"`

	// Names as the client spelled them.
	Owner   string `json:"owner,omitempty"`
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	File    string `json:"file,omitempty"`

	// Digest, Size and Locator of a published file: where its bytes are from then
	// on, for every file of that digest.
	Digest  string  `json:"sha256,omitempty"`
	Size    int64   `json:"size,omitempty"`
	Locator Locator `json:"locator,omitempty"`

	// Token that was made, or of which the ID was revoked.
	Token *TokenChange `json:"token,omitempty"`

	// ID of a file that is published, or of a version that a checkpoint tells.
	ID int64 `json:"id,omitempty"`
	// VersionID of the version that a published file is in.
	VersionID int64 `json:"version_id,omitempty"`
	// PackageID of the package of a version that a checkpoint tells.
	PackageID int64 `json:"package_id,omitempty"`
	// Rank of a version that is new with its first file, or that a checkpoint tells.
	Rank string `json:"rank,omitempty"`
	// Replaced tells that a published file takes the place of another.
	Replaced bool `json:"replaced,omitempty"`
	// Draft tells that a version is one, of a deletion too. Released is above the IDs of the files that were
	// in a version when it ceased to be one.
	Draft    bool  `json:"draft,omitempty"`
	Released int64 `json:"released,omitempty"`
	// Downloads of a version or a file that a checkpoint tells, and when the last was.
	Downloads  int64      `json:"downloads,omitempty"`
	Downloaded *time.Time `json:"downloaded,omitempty"`

	// Checkpoint is in the first line and the last of one.
	Checkpoint *CheckpointHead `json:"checkpoint,omitempty"`
}

// CheckpointHead says what a checkpoint stands for: all changes of a journal up to a
// position. Its lines are numbered and chained from 1 on, apart from the journal's.
type CheckpointHead struct {
	At Position `json:"at"`
	// NextID is the first ID that was not given out then.
	NextID uint64 `json:"next_id"`
}

// TokenChange is a token in a journal. Its secret is there only as a digest.
type TokenChange struct {
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty"`
	User     string     `json:"user,omitempty"`
	Actions  []string   `json:"actions,omitempty"`
	Owners   []string   `json:"owners,omitempty"`
	Packages []string   `json:"packages,omitempty"`
	Created  *time.Time `json:"created,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
	Secret   string     `json:"secret_sha256,omitempty"`
}

// Journaled is implemented by a MetadataStore that keeps a journal of its changes,
// from which it can be made anew. Backups are made of it.
type Journaled interface {
	Checked

	// Snapshot returns a consistent view of what is stored now. It must be closed.
	// ErrUnavailable.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// Checked is implemented by a MetadataStore that can be compared with itself.
type Checked interface {
	// Check compares what is stored with itself, and with the journal where there is one,
	// and calls report for each contradiction, with a text for administrators.
	// ErrUnavailable.
	Check(ctx context.Context, report func(problem string)) error
}

// JournalScrubber is implemented by a MetadataStore whose journal can be compared with
// what was written while it is used.
type JournalScrubber interface {
	// ScrubJournal reads the files of the journal one after the other, and calls spend
	// with the bytes that it has read, whose error ends it. What is damaged is in the
	// store's Condition until it is repaired, which the store does as far as it can. Its
	// error says why it could not; ErrUnavailable.
	ScrubJournal(ctx context.Context, spend func(bytes int) error) error
}

// Snapshot is a view of a metadata store as it was at one position of its journal.
// It may be used by one goroutine at a time.
type Snapshot interface {
	Position() Position

	// ReadJournal writes the lines of the changes after one number up to and with
	// another, each checked against the one before. ErrDamaged when they are not
	// what was written. Nothing waits for w, however slow it is.
	//
	// After 0 the lines begin with a checkpoint where there is one, and go on with the
	// changes after it. It is the same checkpoint each time, so that whoever reads twice
	// reads the same lines. After any other number, ErrNotContinued when the journal has
	// those changes no more. What the position needs stays until the view is closed.
	ReadJournal(ctx context.Context, after, to uint64, w io.Writer) error

	// FindBlob returns the blob that had a digest. ErrBlobNotFound.
	FindBlob(digest Digest) (Blob, error)

	// Close ends the view. Closing twice is harmless.
	Close()
}

// Shared is implemented by a MetadataStore that several processes may have open at once.
type Shared interface {
	// Position asks how many changes there were. Condition may not know yet of the last ones
	// that other processes made.
	Position(ctx context.Context) (Position, error)

	// Reconnected has a token when the changes may be others than before: the server was
	// gone, and may have been restored from an older copy.
	Reconnected() <-chan struct{}
}

// Identified is implemented by a BlobStore that tells itself from every other.
type Identified interface {
	// BlobsID was made at random with the first Bind, and is kept for the store's life.
	// ErrUnavailable.
	BlobsID(ctx context.Context) (string, error)
}

// JournalBackend is implemented by a MetadataBackend whose stores are Journaled.
// Each of its methods claims the store: ErrLocked while it is open.
type JournalBackend interface {
	// ImportJournal makes the journal of a new store for a root out of lines that
	// ReadJournal wrote, and of the ID of the store that they are of. ErrFormat when
	// the store is not new, ErrDamaged when a line is not what was written.
	ImportJournal(ctx context.Context, root, id string, lines io.Reader, log *slog.Logger) error

	// Rebuild makes the database anew from the journal. What was there is put
	// aside. ErrDamaged, with nothing changed, when the database has more than the journal.
	Rebuild(ctx context.Context, root string, log *slog.Logger) error

	// RebuildJournal makes the journal anew from the database: what there is, with
	// its publishers and times. What was there is put aside.
	RebuildJournal(ctx context.Context, root string, log *slog.Logger) error
}
