package visit

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"syscall"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// statuses turns the errors of the domain into answers; the first that matches counts.
// Refusals come before them. An error that is neither is a 500 whose cause only the log has.
var statuses = []struct {
	err    error
	status int
	text   string // the error's own when empty; before both, what Tell said
}{
	{store.ErrUnsafePath, http.StatusBadRequest, "unsafe path: no segment may be . or .., or contain a backslash or a control character; segments must be UTF-8 with valid escapes"},
	{store.ErrInvalidOwner, http.StatusBadRequest, "invalid owner name: 1 to 255 bytes, no slash, no white space at either end"},
	{store.ErrInvalidPackage, http.StatusBadRequest, ""},
	{store.ErrInvalidVersion, http.StatusBadRequest, ""},
	{store.ErrInvalidFile, http.StatusBadRequest, ""},
	{store.ErrExists, http.StatusConflict, ""},
	{store.ErrChanged, http.StatusPreconditionFailed, "precondition failed: the file has changed meanwhile"},
	{store.ErrDraft, http.StatusConflict, ""},
	{store.ErrNotDraft, http.StatusConflict, ""},
	{store.ErrDifferent, http.StatusConflict, ""},
	{store.ErrQuotaDrafts, http.StatusForbidden, ""},
	{store.ErrTooLarge, http.StatusRequestEntityTooLarge, ""},
	{store.ErrQuotaBytes, http.StatusForbidden, ""},
	{store.ErrQuotaVersions, http.StatusForbidden, ""},
	{store.ErrQuotaFiles, http.StatusForbidden, ""},
	{store.ErrBusy, http.StatusServiceUnavailable, "too many uploads at once, try again later"},
	{store.ErrDigest, http.StatusBadRequest, ""},
	{store.ErrPackageNotFound, http.StatusNotFound, ""},
	{store.ErrFileNotFound, http.StatusNotFound, ""},
	{store.ErrUnavailable, http.StatusServiceUnavailable, unavailable},
	{store.ErrNoSpace, http.StatusInsufficientStorage, "not enough storage, try again later"},

	// A lack of disk, descriptors or memory is temporary, whichever call met it. ErrNoSpace,
	// above, also promises that nothing was changed.
	{syscall.ENOSPC, http.StatusServiceUnavailable, unavailable},
	{syscall.EDQUOT, http.StatusServiceUnavailable, unavailable},
	{syscall.EMFILE, http.StatusServiceUnavailable, unavailable},
	{syscall.ENFILE, http.StatusServiceUnavailable, unavailable},
	{syscall.ENOMEM, http.StatusServiceUnavailable, unavailable},
}

const unavailable = "registry is not available, try again later"

// internalError is the whole text of a 500.
const internalError = "internal server error"

// statusOf returns the status and the text that a client sees for an error, and the header
// lines that a refusal has.
func statusOf(err error) (status int, text string, header http.Header) {
	var tooLarge *http.MaxBytesError
	var fromCaddy caddyhttp.HandlerError
	if errors.As(err, &tooLarge) ||
		errors.As(err, &fromCaddy) && fromCaddy.StatusCode == http.StatusRequestEntityTooLarge {
		err = store.ErrTooLarge
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		return refused.Status, told(err, refused, refused.Text), refused.Header
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status, told(err, s.err, cmp.Or(s.text, s.err.Error())), nil
		}
	}
	status, text = statusOfOther(err)
	return status, text, nil
}

// told returns the text that somebody gave an error for the client, or else another one.
// It counts only when it explains what decided the status.
func told(err, decided error, otherwise string) string {
	var e *toldError
	if errors.As(err, &e) && errors.Is(e, decided) {
		return e.text
	}
	return otherwise
}

// statusOfOther is statusOf for errors that are neither refusals nor the domain's.
func statusOfOther(err error) (status int, text string) {
	var body *store.BodyError
	switch {
	case errors.As(err, &body) && errors.Is(body.Err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, "request body came too slowly"
	case errors.As(err, &body):
		return http.StatusBadRequest, "reading the request body failed"
	case isTimeout(err), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, unavailable
	}
	return http.StatusInternalServerError, internalError
}

// isTimeout tells whether something did not answer in time: a store's disk or its
// server. Of the body, only a BodyError tells.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
