package store

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
)

// Errors of the domain. Stores and Registry return them, wrapped with what was
// being done; the Caddy side maps each to a status in one table.
var (
	// ErrUnsafePath: a path segment that no request may carry (CheckElement).
	ErrUnsafePath = errors.New("unsafe path")
	// ErrInvalidOwner: a name that cannot be an owner's.
	ErrInvalidOwner = errors.New("invalid owner name")
	// ErrInvalidPackage: a name that cannot be published as a package.
	ErrInvalidPackage = errors.New("invalid package name")
	// ErrInvalidVersion: a version that cannot be published.
	ErrInvalidVersion = errors.New("invalid package version")
	// ErrInvalidFile: a file name that cannot be published.
	ErrInvalidFile = errors.New("invalid filename")

	// ErrExists: the version has a file of that name. Published files never change.
	ErrExists = errors.New("package file already exists")
	// ErrChanged: the file is not the one that it must still be.
	ErrChanged = errors.New("package file has changed meanwhile")
	// ErrDraft: the version is a draft, which a plain publish cannot add to.
	ErrDraft = errors.New("package version is a draft")
	// ErrNotDraft: the version is published, and no draft can have its name.
	ErrNotDraft = errors.New("package version is published already")
	// ErrDifferent: a draft does not have the files that it should have.
	ErrDifferent = errors.New("package version does not have these files")
	// ErrPackageNotFound: there is no such version of the package.
	ErrPackageNotFound = errors.New("package does not exist")
	// ErrFileNotFound: the version is there, the file is not.
	ErrFileNotFound = errors.New("package file does not exist")
	// ErrBlobNotFound: no bytes under a locator, or no blob of a digest.
	ErrBlobNotFound = errors.New("blob does not exist")

	// ErrDigest: the bytes do not have the digest that the client sent.
	ErrDigest = errors.New("digest does not match")
	// ErrTooLarge: the file is larger than may be published.
	ErrTooLarge = errors.New("file too large")
	// ErrQuotaBytes: the owner's files would have more bytes than its quota.
	ErrQuotaBytes = errors.New("maximum allowed package storage quota exceeded")
	// ErrQuotaVersions: the owner would have more versions than its quota.
	ErrQuotaVersions = errors.New("maximum allowed package count exceeded")
	// ErrQuotaFiles: the owner would have more files than its quota.
	ErrQuotaFiles = errors.New("maximum allowed package file count exceeded")
	// ErrQuotaDrafts: the owner would have more drafts than it may have.
	ErrQuotaDrafts = errors.New("maximum allowed draft count exceeded")
	// ErrBusy: as many uploads are in progress as may be at once.
	ErrBusy = errors.New("too many uploads at once")

	// ErrSessionNotFound: there is no such upload session, or not for this user.
	ErrSessionNotFound = errors.New("upload does not exist")
	// ErrOffset: bytes that do not follow those that came before.
	ErrOffset = errors.New("the upload is at another offset")
	// ErrLength: a request names another length of the upload than before, or the upload has more bytes.
	ErrLength = errors.New("the upload has another length")
	// ErrOvertaken: a later request goes on with the upload.
	ErrOvertaken = errors.New("a later request goes on with this upload")
	// ErrEnded: the upload is published already.
	ErrEnded = errors.New("the upload is complete")

	// ErrTokenNotFound: there is no such token.
	ErrTokenNotFound = errors.New("token does not exist")
	// ErrTokenExpired: the token has expired.
	ErrTokenExpired = errors.New("token has expired")
	// ErrTokenExists: a token has that name already.
	ErrTokenExists = errors.New("a token of that name already exists")
	// ErrInvalidToken: no token can be like that.
	ErrInvalidToken = errors.New("invalid token")
	// ErrNoTokens: the metadata store cannot keep tokens.
	ErrNoTokens = errors.New("this metadata store keeps no tokens")

	// ErrNoJournal: the metadata store keeps no journal, of which backups are made.
	ErrNoJournal = errors.New("this metadata store keeps no journal")
	// ErrNotContinued: a backup cannot go on from a position, because the journal
	// is another one, or does not reach that far.
	ErrNotContinued = errors.New("backup cannot be continued")
	// ErrIncomplete: a backup was cut, or is not one at all.
	ErrIncomplete = errors.New("backup is not complete")

	// ErrNoSpace: storing would leave less free space than the store's reserve.
	// A state fault: it passes when room is made.
	ErrNoSpace = errors.New("not enough free disk space")
	// ErrDamaged: stored data is not what was written. A state fault.
	ErrDamaged = errors.New("stored data is damaged")
	// ErrUnavailable: the store does not take the operation now; it may later.
	ErrUnavailable = errors.New("store is not available")

	// ErrLocked: another process has the store open. A configuration fault.
	ErrLocked = errors.New("store is in use by another process")
	// ErrMismatch: metadata and blobs are of two registries. A configuration fault.
	ErrMismatch = errors.New("metadata and blobs do not belong together")
	// ErrBehind: the metadata is older than the blobs, as after half of a restore. A
	// state fault: files are read, and nothing is changed or swept.
	ErrBehind = errors.New("the metadata is older than the blobs")
	// ErrFormat: the store was written by a newer release, or is not one of
	// ours. A configuration fault.
	ErrFormat = errors.New("unknown store format")
	// ErrRefused: a server refuses what the configuration says of it: a key, a place that is
	// not there. A configuration fault.
	ErrRefused = errors.New("the server refuses the configuration")
	// ErrHalfRestored: there is RestoreMark.
	ErrHalfRestored = errors.New("half a restore")
)

// IsRefusal reports whether err is a MetadataStore's decision against a publish, after
// which the bytes are condemned: ErrExists, ErrChanged, ErrDraft, ErrNotDraft, ErrQuotaBytes,
// ErrQuotaVersions, ErrQuotaFiles or ErrQuotaDrafts.
func IsRefusal(err error) bool {
	for _, refusal := range []error{ErrExists, ErrChanged, ErrDraft, ErrNotDraft, ErrQuotaBytes, ErrQuotaVersions, ErrQuotaFiles, ErrQuotaDrafts} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// BodyError says that reading the bytes to publish failed, which is the
// sender's fault or its network's, never the store's.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the file to publish: " + e.Err.Error() }

// Unwrap returns the reader's own error.
func (e *BodyError) Unwrap() error { return e.Err }

// IsState reports whether err, from opening a store, may pass while the configuration
// stands: no room, damage, a disk that fails, a deadline, and whatever else is not known
// to be a fault of the configuration. Those are ErrLocked, ErrMismatch, ErrFormat,
// ErrHalfRestored, ErrRefused,
// permissions that are missing and a path through something that is no directory: when
// one of them and a fault of the state come together, the state counts.
func IsState(err error) bool {
	for _, state := range []error{ErrNoSpace, ErrDamaged, ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, state) {
			return true
		}
	}
	for _, fault := range []error{ErrLocked, ErrMismatch, ErrFormat, ErrHalfRestored, ErrRefused, fs.ErrPermission, syscall.ENOTDIR} {
		if errors.Is(err, fault) {
			return false
		}
	}
	return err != nil
}
