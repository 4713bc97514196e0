package module

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// challenge is the WWW-Authenticate of every 401 (RFC 7617).
	challenge = `Basic realm="Package registry", charset="UTF-8"`
)

// refuse answers with an error's status and text. It writes the response itself:
// returning the error to Caddy would give an empty body.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, body *requestBody, rt route, who *identity, err error) {
	status, text := statusOf(err)
	if status >= http.StatusInternalServerError {
		h.logFailure(status, r.Method, rt, err)
	}
	header := w.Header()
	switch status {
	case http.StatusMethodNotAllowed:
		header.Set("Allow", rt.methods())
	case http.StatusUnsupportedMediaType:
		header.Set("Accept-Encoding", "identity") // RFC 9110 section 15.5.16
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		header.Set("Retry-After", retryAfter(err))
	}
	denial{status, line(text), h.mayWrite(rt, who)}.answer(w, r, body)
}

// retryAfter says, in seconds, when what failed is tried again: a store that is not open
// at its interval, which grows, and all else at the shortest.
func retryAfter(err error) string {
	interval := pool.RetryInterval
	var waits *pool.Retried
	if errors.As(err, &waits) {
		interval = waits.Interval
	}
	return strconv.Itoa(int(math.Ceil(interval.Seconds())))
}

func (h *Handler) logFailure(status int, method string, rt route, err error) {
	level := zap.WarnLevel // for a fault that passes, which the store itself has logged
	if status == http.StatusInternalServerError {
		level = zap.ErrorLevel
	}
	h.log.Log(level, "request failed", zap.Int("status", status), zap.String("method", method),
		zap.String("owner", rt.Owner), zap.String("package", rt.Package),
		zap.String("version", rt.Version), zap.String("file", rt.File), zap.Error(err))
}

// recordedTexts are those that Gitea answers without a line feed at their end.
var recordedTexts = []string{
	store.ErrExists.Error(), store.ErrPackageNotFound.Error(), store.ErrFileNotFound.Error(), internalError,
}

// line returns an error's text as clients get it: a line, unless the API's own answer
// is none.
func line(text string) string {
	if slices.Contains(recordedTexts, text) {
		return text
	}
	return text + "\n"
}

// mayWrite tells whether a client may write where its request goes, which tells for how
// long it is listened to after a refusal.
func (h *Handler) mayWrite(rt route, who *identity) bool {
	if store.CheckOwner(rt.Owner) != nil || who.fault != nil {
		return false
	}
	if who.token != nil && !who.token.Scope.Covers(store.ActionWrite, rt.Owner, rt.Package) {
		return false
	}
	return h.access.Allows(who, store.ActionWrite, rt.Owner, rt.Package)
}
