package resume

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Problem types of the draft.
const (
	typeOffset = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset"
	typeLength = "https://iana.org/assignments/http-problem-types#inconsistent-upload-length"
)

var (
	errNoUpload    = visit.Refuse(http.StatusNotFound, store.ErrSessionNotFound.Error()+": the upload has ended or expired, or belongs to another user")
	errContentType = error(&visit.Refusal{
		Status: http.StatusUnsupportedMediaType,
		Text:   "the Content-Type of bytes to append is " + partialUpload,
		Header: http.Header{"Accept-Patch": {partialUpload}}, // RFC 5789 section 2.2
	})
	errFields    = visit.Refuse(http.StatusBadRequest, "a request that appends needs Upload-Offset, a whole number, and Upload-Complete, ?0 or ?1")
	errForm      = visit.Refuse(http.StatusUnsupportedMediaType, "a form cannot be uploaded in several requests: send the file as it is")
	errOtherSums = visit.Refuse(http.StatusBadRequest, "an upload in several requests compares SHA-256 only: send the SHA-256")
)

// problem words refusals as RFC 9457 says, with members of their own.
func problem(members map[string]any) visit.Form {
	return func(status int, text string) (contentType, body string) {
		all := map[string]any{"title": http.StatusText(status), "status": status, "detail": text}
		maps.Copy(all, members)
		encoded, err := json.Marshal(all)
		if err != nil {
			return visit.Text(status, text)
		}
		return "application/problem+json", string(encoded) + "\n"
	}
}

// refuse turns an error of an upload into what the client needs to go on: where the
// upload stands, and whether the answer is the file's.
func (e *exchange) refuse(upload registry.Upload, err error) error {
	if err == nil {
		return nil
	}
	header := make(http.Header)
	setBoolean(header, fieldComplete, false)
	var offset *registry.OffsetError
	switch {
	case errors.As(err, &offset):
		e.v.Form = problem(map[string]any{"type": typeOffset, "expected-offset": offset.Want, "provided-offset": offset.Got})
		setInteger(header, fieldOffset, offset.Want)
		return refusal(http.StatusConflict, err, header)
	case errors.Is(err, store.ErrLength), errors.Is(err, registry.ErrRequestDigest):
		if errors.Is(err, store.ErrLength) {
			e.v.Form = problem(map[string]any{"type": typeLength})
		}
		if upload.ID != "" {
			setInteger(header, fieldOffset, upload.Offset)
		}
		return refusal(http.StatusBadRequest, err, header)
	case errors.Is(err, store.ErrSessionNotFound):
		return errors.Join(errNoUpload, err)
	case errors.Is(err, store.ErrOvertaken):
		return refusal(http.StatusConflict, store.ErrOvertaken, header)
	case errors.Is(err, store.ErrEnded):
		setInteger(header, fieldOffset, upload.Offset)
		return refusal(http.StatusBadRequest, store.ErrEnded, header)
	}
	return e.refuseEnd(upload, err)
}

// refuseEnd has the client know that the file was refused, after all of it came, and not
// the request.
func (e *exchange) refuseEnd(upload registry.Upload, err error) error {
	header := make(http.Header)
	setBoolean(header, fieldComplete, true)
	switch {
	case upload.ID == "":
		return err
	case errors.Is(err, store.ErrExists):
		return refusal(http.StatusConflict, errors.New(files.DuplicateText(e.v)), header)
	case errors.Is(err, store.ErrDigest):
		return refusal(http.StatusBadRequest, store.ErrDigest, header)
	case errors.Is(err, store.ErrChanged):
		return refusal(http.StatusPreconditionFailed, store.ErrChanged, header)
	}
	for _, conflict := range []error{store.ErrDraft, store.ErrNotDraft} {
		if errors.Is(err, conflict) {
			return refusal(http.StatusConflict, conflict, header)
		}
	}
	return err
}

// refusal tells why a request is refused. What failed besides, on the following lines of an error,
// may have a path.
func refusal(status int, err error, header http.Header) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return errors.Join(&visit.Refusal{Status: status, Text: text, Header: header}, err)
}

// tooLarge refuses what is larger than a limit, and tells the limits.
func (e *exchange) tooLarge(text string) error {
	header := make(http.Header)
	setBoolean(header, fieldComplete, false)
	e.setLimits(header, e.Age)
	return &visit.Refusal{Status: http.StatusRequestEntityTooLarge, Text: text, Header: header}
}
