package remote

import (
	"context"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// The interfaces here are for a BlobStore on another machine, of which every call is a
// request. Each is optional, and found by assertion.

// Section is a part of a blob: so many bytes from an offset on.
type Section struct{ Offset, Length int64 }

// Whole is all of a blob of a size.
func Whole(size int64) Section { return Section{0, size} }

// SectionOpener is implemented by a BlobStore that requests only the wanted bytes.
type SectionOpener interface {
	// OpenSection is BlobStore.Open for a caller that will read a section. The reader
	// begins at the start of the blob, and can read other bytes too, each time at the price
	// of another request. An empty section says that the wanted bytes are not known yet.
	OpenSection(ctx context.Context, locator store.Locator, size int64, want Section) (io.ReadSeekCloser, error)
}

// OpenSection opens a blob of any store to read a section of the blob.
func OpenSection(ctx context.Context, blobs store.BlobStore, locator store.Locator, size int64, want Section) (io.ReadSeekCloser, error) {
	if opener, ok := blobs.(SectionOpener); ok {
		return opener.OpenSection(ctx, locator, size, want)
	}
	return blobs.Open(ctx, locator, size)
}

// BatchDeleter is implemented by a BlobStore that deletes many blobs in one request.
type BatchDeleter interface {
	// DeleteAll deletes blobs, and returns the locators of those that are gone, with an
	// error too. Absent ones are gone.
	DeleteAll(ctx context.Context, locators []store.Locator) (deleted []store.Locator, err error)
}

// Graceful is implemented by a BlobStore with readers that the registry does not know:
// clients with a link to the bytes, and downloads that begin again where they were cut.
type Graceful interface {
	// Grace is for how long bytes stay after nothing refers to them any more. It may be
	// called at any time.
	Grace() time.Duration
}

// Redirector is implemented by a BlobStore from which clients can fetch bytes themselves.
type Redirector interface {
	// RedirectURL returns a link to the bytes of a file, which is valid for a while, and
	// makes no request. It is empty when downloads are not to be redirected. The link has the
	// permission to read in it: nobody keeps it, or logs it.
	RedirectURL(ctx context.Context, file store.File, header Header) (link string, err error)
}

// Header is what a redirected download says of itself.
type Header struct{ ContentType, ContentDisposition, CacheControl string }

// Unscrubbed is implemented by a BlobBackend whose store pays for each reading, so that the
// scrub is off unless it is asked for.
type Unscrubbed interface {
	// IsUnscrubbed tells whether that is so.
	IsUnscrubbed() bool
}

// Taker is implemented by a BlobStore in which another process can go on with a session.
type Taker interface {
	// TakeSession begins a turn of a session, where it was saved last. Only what is saved in
	// the latest turn counts: writers of earlier ones may go on, and harm nobody. FindSession
	// finds the session of the latest turn, ContinueSession goes on with that of the one that it
	// is given. ErrSessionNotFound; store.ErrOvertaken when a later turn has begun.
	TakeSession(ctx context.Context, id store.SessionID, turn int64) (store.Session, error)
}

// Streaming is implemented by a BlobStore that sends bytes on as they come: it gains nothing by
// large pieces, which take memory.
type Streaming interface {
	// IsStreaming tells whether that is so.
	IsStreaming() bool
}

// Elsewhere is implemented by a backend of either half whose Identity is no directory.
type Elsewhere interface {
	// IsVacant tells whether there is nothing where a store would be opened. It makes
	// nothing.
	IsVacant(ctx context.Context) (bool, error)
}
