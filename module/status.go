package module

import (
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
	{registry.ErrUnavailable, http.StatusServiceUnavailable, "registry is not available, try again later"},
	{registry.ErrNoSpace, http.StatusInsufficientStorage, "not enough storage, try again later"},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, "request body came too slowly"},
}

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
	if errors.As(err, &body) {
		return http.StatusBadRequest, "reading the request body failed"
	}
	return http.StatusInternalServerError, internalError
}
