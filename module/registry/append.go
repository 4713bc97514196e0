package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/admission"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// saveStep is in bytes. An upload is made durable after each saveStep bytes, so that a client
// sends at most that much again after a kill of the server.
const saveStep = 16 << 20

// stepAt is how many bytes are made durable at once after so many. They are a thousandth of what
// came, when that is more than saveStep: a store may keep each step by itself.
func stepAt(offset int64) int64 { return max(saveStep, offset>>10) }

// Append is a request that goes on with an upload.
type Append struct {
	// Content is the bytes to append. Its SHA256 is that of these bytes: when they have
	// another, none is appended.
	Content
	// Stored is the SHA-256 that the file has, as this request says. Nil when it does not.
	Stored *store.Digest
	// Offset is where the client says that they begin.
	Offset int64
	// Complete says that the upload ends with them.
	Complete bool
	// CompleteAtLength says that the upload ends too once all bytes of its length came: for
	// clients that do not say when they have sent the last ones.
	CompleteAtLength bool
	// Length of the file, as this request says. -1 when it does not.
	Length int64
	// Interrupt ends the reading of the body, when a later request goes on with the
	// upload. It may be called at any time until AppendUpload or BeginUpload returns, and
	// more than once.
	Interrupt func()

	begins bool // the upload
	untold bool // the client does not know the upload yet
}

// OffsetError says that a request does not go on where the upload stands. It is ErrOffset.
type OffsetError struct{ Want, Got int64 }

func (e *OffsetError) Error() string {
	return fmt.Sprintf("%v: it has %d bytes, and the request begins at %d", store.ErrOffset, e.Want, e.Got)
}

// Unwrap returns ErrOffset.
func (e *OffsetError) Unwrap() error { return store.ErrOffset }

// ErrRequestDigest is ErrDigest of one request, without which the upload goes on.
var ErrRequestDigest = fmt.Errorf("%w", store.ErrDigest)

// AppendUpload goes on with an upload of a user to a file, and publishes it when the
// request says that it is complete. What came of the body before an error is kept, and
// durable. It returns how the upload stands, with an error too, once it is known.
//
// The error is ErrSessionNotFound, ErrOvertaken, *OffsetError, ErrLength, ErrRequestDigest,
// ErrTooLarge, ErrEnded, or one that Publish returns. After ErrExists, ErrDraft, ErrNotDraft,
// another ErrDigest and a quota that Publish has found exceeded the upload is gone.
func (r *Registry) AppendUpload(ctx context.Context, ref store.Ref, id store.SessionID, user string, request Append, limits Limits) (Upload, error) {
	u, err := r.takeUpload(ctx, ref, id, user, request.Interrupt)
	if err != nil {
		return Upload{}, err
	}
	defer r.releaseUpload(u)
	found, err := r.findUpload(ctx, u, id)
	if err != nil {
		return Upload{}, err
	}
	if found.File != nil {
		found.Repeated = true
		return found, repeats(request, *found.File)
	}
	return r.goOn(ctx, u, found, request, limits)
}

// goOn has what a request brings come into an upload that is taken.
func (r *Registry) goOn(ctx context.Context, u *upload, found Upload, request Append, limits Limits) (Upload, error) {
	limits.Draft, limits.Current = found.Draft, found.Current // as the upload was begun
	a := appending{Registry: r, upload: u, Session: &found.Session, limits: limits}
	err := check(a.Session, &request)
	if err == nil {
		err = a.append(ctx, request)
	}
	switch {
	case err != nil && (request.untold || request.begins && a.Offset == 0 && isRefused(err)): // the client does not go on with it
		r.giveUp(u)
		return Upload{}, errors.Join(err, a.dropUpload(ctx, *a.Session, u))
	case err != nil || !request.Complete:
		return found, err
	}
	found.File, err = a.publish(ctx)
	return found, err
}

// isRefused tells whether an error is a decision against a request, and neither a fault nor the
// end of a connection.
func isRefused(err error) bool {
	for _, refusal := range []error{store.ErrBusy, store.ErrLength, store.ErrDigest, store.ErrTooLarge} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	var ofBody interface{ Refuses() } // whoever gave the body knows what is wrong with it
	return store.IsRefusal(err) || errors.As(err, &ofBody)
}

// repeats says ErrEnded, unless a request is the last one of the upload once more.
func repeats(request Append, file store.File) error {
	if request.Complete && request.Offset+max(request.Size, 0) == file.Size && (request.Stored == nil || *request.Stored == file.Digest) {
		return nil
	}
	return store.ErrEnded
}

// check compares a request with how the upload stands, and learns the file's length and digest,
// and whether the request completes it.
func check(session *store.Session, request *Append) error {
	if request.Offset != session.Offset {
		return &OffsetError{Want: session.Offset, Got: request.Offset}
	}
	if request.Stored != nil && session.SHA256 != nil && *request.Stored != *session.SHA256 {
		return fmt.Errorf("%w: SHA-256 of the file was another one in an earlier request", ErrRequestDigest)
	}
	lengths := []int64{request.Length}
	if request.Complete && request.Size >= 0 {
		lengths = append(lengths, request.Offset+request.Size)
	}
	for _, length := range lengths {
		switch {
		case length < 0:
		case session.Length >= 0 && session.Length != length:
			return fmt.Errorf("%w: %d bytes, now %d", store.ErrLength, session.Length, length)
		case length < session.Offset:
			return fmt.Errorf("%w: %d bytes came, of %d", store.ErrLength, session.Offset, length)
		default:
			session.Length = length
		}
	}
	if session.Length >= 0 && session.Offset+request.Size > session.Length {
		return fmt.Errorf("%w: %d bytes, and %d would come", store.ErrLength, session.Length, session.Offset+request.Size)
	}
	session.SHA256 = cmp.Or(request.Stored, session.SHA256)
	request.Complete = request.Complete || request.CompleteAtLength && request.Size >= 0 && session.Length == session.Offset+request.Size
	return nil
}

// appending is one request on its way into an upload.
type appending struct {
	*Registry
	*store.Session
	upload  *upload
	limits  Limits
	hash    hash.Hash
	counted *admission.Counted // what came and is not saved
}

// append receives the body of a request. What is saved counts.
func (a *appending) append(ctx context.Context, request Append) error {
	left := request.Size
	if a.Length >= 0 {
		left = a.Length - a.Offset
	}
	content, counted, err := a.checkQuota(ctx, a.Ref, Content{Body: request.Body, Size: left, SHA256: a.SHA256}, a.Offset, a.limits)
	if err != nil {
		return err
	}
	a.counted = counted
	defer counted.End()
	body, release, err := a.Admit(a.Creator, a.limits, Content{Body: content.Body, Size: request.Size})
	if err != nil {
		return err
	}
	defer release()
	if err := a.admit(ctx); err != nil {
		return err
	}
	writing, cancel := waiting.Bounded(ctx)
	defer cancel()
	writer, err := a.blobs.ContinueSession(writing, *a.Session)
	if errors.Is(err, store.ErrDamaged) {
		return errors.Join(store.ErrSessionNotFound, err, a.dropUpload(ctx, *a.Session, a.upload))
	}
	if err != nil {
		return fmt.Errorf("continuing an upload: %w", err)
	}
	if a.hash, err = hashAt(a.Hash); err != nil {
		return errors.Join(store.ErrSessionNotFound, err, writer.Close(), a.dropUpload(ctx, *a.Session, a.upload))
	}
	if a.Length >= 0 {
		body = transfer.LimitBody(body, a.Length-a.Offset, store.ErrLength)
	}
	err = a.receive(ctx, writer, body, request)
	if err == nil && request.Complete {
		// Only now: what is complete has been saved.
		committing, cancel := waiting.Committing(ctx, a.Offset)
		defer cancel()
		err = writer.Commit(committing)
	}
	if errors.Is(err, store.ErrDamaged) {
		return errors.Join(store.ErrSessionNotFound, err, writer.Close(), a.dropUpload(ctx, *a.Session, a.upload))
	}
	return errors.Join(err, writer.Close())
}

// hashAt returns SHA-256 in a state.
func hashAt(state []byte) (hash.Hash, error) {
	h := sha256.New()
	if len(state) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("%w: the state of the hash: %w", store.ErrDamaged, err)
	}
	return h, nil
}

// receive copies a body in steps, each of which is durable before the next one begins.
func (a *appending) receive(ctx context.Context, writer store.SessionWriter, body io.Reader, request Append) error {
	step := &transfer.Steps{Body: body}
	var own hash.Hash // of the bytes of this request
	if request.SHA256 != nil {
		own = sha256.New()
		step.Body = io.TeeReader(body, own)
	}
	offset := a.Offset
	for step.End == nil {
		step.Left = stepAt(offset)
		size, err := transfer.CopyHashed(a.buffers, writer, step, -1, a.hash)
		offset += size
		if err != nil && step.End == nil {
			return err // the writer's
		}
		if own != nil && step.End == nil {
			continue // nothing counts before all of it is compared
		}
		if own != nil && (step.End != io.EOF || store.Digest(own.Sum(nil)) != *request.SHA256) {
			return step.Fault(fmt.Errorf("%w: SHA-256 of the request's content", ErrRequestDigest))
		}
		if err := a.save(ctx, writer, offset); err != nil {
			return err
		}
	}
	if step.End == io.EOF && request.Size >= 0 && step.Came != request.Size {
		step.End = io.ErrUnexpectedEOF
	}
	if step.End == io.EOF && request.Complete && a.Length >= 0 && a.Offset != a.Length {
		return fmt.Errorf("%w: %d bytes came, of %d", store.ErrLength, a.Offset, a.Length)
	}
	return step.Fault(nil)
}

// save makes what came durable, even when the client has gone.
func (a *appending) save(ctx context.Context, writer store.SessionWriter, offset int64) error {
	state, err := a.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return fmt.Errorf("telling the state of the hash: %w", err)
	}
	saved := *a.Session
	saved.Offset, saved.Hash, saved.Again = offset, state, a.counted.IsAgain()
	ctx, cancel := waiting.Committing(ctx, offset-a.Offset)
	defer cancel()
	if err := writer.Save(ctx, saved); err != nil {
		return fmt.Errorf("saving an upload: %w", err)
	}
	if err := a.keepTurn(ctx, a.upload, a.ID); err != nil {
		return err
	}
	*a.Session = saved
	a.counted.End() // it counts as the upload's
	a.noteUpload(a.upload, saved)
	return nil
}

// publish makes an upload the file that it is for. When that is refused the upload ends;
// when it did not happen, it can be tried again.
func (a *appending) publish(ctx context.Context) (*store.File, error) {
	blob := store.Blob{Locator: a.Locator, Size: a.Offset}
	a.hash.Sum(blob.Digest[:0])
	if a.SHA256 != nil && *a.SHA256 != blob.Digest {
		err := &store.BodyError{Err: fmt.Errorf("%w: SHA-256 is %s", store.ErrDigest, blob.Digest)}
		return nil, errors.Join(err, a.dropUpload(ctx, *a.Session, a.upload))
	}
	a.noteUpload(a.upload, store.Session{}) // the store counts it from now on, in its transaction
	file, err := a.record(ctx, a.Ref, a.Creator, blob, a.safeUntil(), a.limits)
	switch {
	case err == nil:
		// If it fails, the session is found to be published later.
		return &file, a.forgotten(ctx, &file)
	case errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrUnavailable):
		a.noteUpload(a.upload, *a.Session)
		return nil, err // nothing refers to the bytes
	}
	// Refused, and the bytes are condemned; or nobody knows, and nobody may touch them.
	return nil, errors.Join(err, a.forgotten(ctx, nil))
}

// safeUntil is a time when nobody else could have deleted the bytes, however old they are: the
// sweep of another process leaves a session alone until it has expired.
func (a *appending) safeUntil() time.Time {
	switch {
	case !a.age().Before(a.Expires):
		return a.Expires
	case a.turns != nil:
		return a.upload.alive // from then on another process may have deleted them
	}
	return a.metadata.Clock()
}

func (a *appending) forgotten(ctx context.Context, file *store.File) error {
	if err := a.forgetUpload(ctx, *a.Session, a.upload, file); err != nil {
		a.log.Warn("an upload has ended, and its session stays until it expires", "error", err)
		a.noteEnded(a.ID, a.upload, file)
	}
	return nil
}
