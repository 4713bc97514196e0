package module

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// statuses turns errors into answers; the first that matches counts. An error
// that is not here is a 500 whose cause only the log has.
var statuses = []struct {
	err    error
	status int
	text   string // the error's own when empty
}{
	{registry.ErrUnsafePath, http.StatusBadRequest, ""},
	{registry.ErrInvalidOwner, http.StatusBadRequest, ""},
	{errNoRoute, http.StatusNotFound, ""},
	{errMethod, http.StatusMethodNotAllowed, ""},
	{errUnauthenticated, http.StatusUnauthorized, ""},
	{errForbidden, http.StatusForbidden, ""},
	{errScope, http.StatusForbidden, ""},
	{errCrossSite, http.StatusForbidden, ""},
	{registry.ErrInvalidPackage, http.StatusBadRequest, ""},
	{registry.ErrInvalidVersion, http.StatusBadRequest, ""},
	{registry.ErrInvalidFile, http.StatusBadRequest, ""},
	{errContentRange, http.StatusBadRequest, ""},
	{errDigestSyntax, http.StatusBadRequest, ""},
	{errPrecondition, http.StatusPreconditionFailed, ""},
	{registry.ErrExists, http.StatusConflict, ""},
	{errMultipart, http.StatusBadRequest, ""},
	{registry.ErrTooLarge, http.StatusRequestEntityTooLarge, ""},
	{registry.ErrQuotaBytes, http.StatusForbidden, ""},
	{registry.ErrQuotaVersions, http.StatusForbidden, ""},
	{registry.ErrBusy, http.StatusServiceUnavailable, "too many uploads at once, try again later"},
	{registry.ErrDigest, http.StatusBadRequest, ""},
	{registry.ErrPackageNotFound, http.StatusNotFound, ""},
	{registry.ErrFileNotFound, http.StatusNotFound, ""},
	{registry.ErrUnavailable, http.StatusServiceUnavailable, unavailable},
	{registry.ErrNoSpace, http.StatusInsufficientStorage, "not enough storage, try again later"},
}

const unavailable = "registry is not available, try again later"

// internalError is all that a client hears of a 500.
const internalError = "internal server error"

// statusOf returns the status and the text that a client sees for an error.
func statusOf(err error) (status int, text string) {
	var tooLarge *http.MaxBytesError
	var fromCaddy caddyhttp.HandlerError
	if errors.As(err, &tooLarge) ||
		errors.As(err, &fromCaddy) && fromCaddy.StatusCode == http.StatusRequestEntityTooLarge {
		err = registry.ErrTooLarge
	}
	for _, s := range statuses {
		if !errors.Is(err, s.err) {
			continue
		}
		if s.text == "" {
			return s.status, s.err.Error()
		}
		return s.status, s.text
	}
	var body *registry.BodyError
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
