package store

import (
	"context"
	"crypto/rand"
	"io"
	"time"
)

// SessionID names an upload session: 26 characters of base32, made at random. It is no
// part of a path that a client chose.
type SessionID string

// NewSessionID returns a fresh ID, of 128 random bits.
func NewSessionID() SessionID {
	var random [randomBytes]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	return SessionID(locatorEncoding.EncodeToString(random[:]))
}

// IsValid tells whether the ID has exactly the form that NewSessionID gives.
func (id SessionID) IsValid() bool { return isMadeOf(string(id), randomWidth, locatorAlphabet) }

// Session is an upload that comes in several requests, as a store keeps it.
type Session struct {
	ID SessionID `json:"id"`
	// Ref is the file that the upload will be, in the spelling of the client.
	Ref Ref `json:"ref"`
	// Creator is the user who began the upload. Only this user goes on with it.
	Creator string    `json:"creator"`
	Created time.Time `json:"created"`
	// Expires is when the upload is given up.
	Expires time.Time `json:"expires"`
	// Length is how many bytes the file will have, -1 while that is unknown.
	Length int64 `json:"length"`
	// SHA256 is the digest that the client says the file has. Nil when it says none.
	SHA256 *Digest `json:"sha256,omitempty"`
	// Turn is that of the process which saved it, where several have the stores open (Turns).
	Turn int64 `json:"turn,omitempty"`
	// Draft tells that the file will be one of a draft.
	Draft bool `json:"draft,omitempty"`
	// Current is the ID that the file there must still have, as in Publication.
	Current *int64 `json:"current,omitempty"`

	// Locator says where the bytes lie. The store gives it in BeginSession. It is the
	// file's once the upload is published.
	Locator Locator `json:"locator"`
	// Offset is how many bytes are durable.
	Offset int64 `json:"offset"`
	// Again tells that the bytes seem to be those of a file that is there: they count apart.
	Again bool `json:"again,omitempty"`
	// Hash is the state of SHA-256 after these bytes, by its encoding.BinaryMarshaler.
	// Empty stands for the state before the first byte.
	Hash []byte `json:"hash,omitempty"`
}

// Sessions keeps uploads that come in several requests. All methods may run
// concurrently, but one session is for one caller at a time.
//
// The bytes of a session are not a blob before the Commit of its writer, but Walk may see
// them: check the sessions before deleting bytes that nothing names. Delete, as for a blob,
// and EndSession delete the bytes.
type Sessions interface {
	// BeginSession keeps a new session without bytes, and returns it with its locator.
	// It survives a crash and a power cut. ErrNoSpace when the bytes that are still to
	// come (none when the length is unknown) would not leave the store's reserve free.
	BeginSession(ctx context.Context, session Session) (Session, error)

	// FindSession returns a session as it was saved last. What it returns survives a
	// power cut. ErrSessionNotFound when there is none of that ID, or no ID can be like
	// that.
	FindSession(ctx context.Context, id SessionID) (Session, error)

	// ContinueSession returns a writer that writes after the offset of a session, which
	// FindSession has returned. What had been written after it is cut off. A session that
	// Commit made a blob may take no more bytes, and can be committed again. ErrDamaged
	// when there are fewer bytes than the offset says, ErrNoSpace as BeginSession.
	ContinueSession(ctx context.Context, session Session) (SessionWriter, error)

	// Sessions returns all sessions, in no order. One that cannot be read has nothing but its ID.
	Sessions(ctx context.Context) ([]Session, error)

	// EndSession forgets a session. Bytes that Commit made a blob stay; others may be
	// deleted with the session. An absent session is not an error. After a power cut the
	// session may be there again.
	EndSession(ctx context.Context, id SessionID) error
}

// SessionWriter writes bytes of a session. Its methods must not run concurrently. Close
// ends it.
type SessionWriter interface {
	// Write appends bytes. ErrNoSpace when the room is gone. After an error of Write or
	// Save nothing more can be written: the next writer begins at the last offset that
	// was saved.
	io.Writer

	// Save makes what was written durable, and then the session, of which the offset
	// counts it. After an error the session is as it was saved before, or as it would
	// have been saved now.
	Save(ctx context.Context, session Session) error

	// Commit makes what was saved last a blob, and the session's locator its name. The
	// session stays until EndSession. After an error it can be continued.
	Commit(ctx context.Context) error

	// Close ends the writing. What was not saved is gone. Closing twice is harmless.
	Close() error
}
