package visit

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// Challenge is the WWW-Authenticate of every 401 (RFC 7617).
const Challenge = `Basic realm="Package registry", charset="UTF-8"`

// Form writes the body of a refusal.
type Form func(status int, text string) (contentType, body string)

// Text is the form with a line of plain text.
func Text(_ int, text string) (contentType, body string) {
	return "text/plain; charset=utf-8", line(text)
}

// Deny answers a request that is no visit with an error's status and text, and listens to
// the rest of the request as to a client that may not write.
func Deny(w http.ResponseWriter, r *http.Request, err error) {
	deny(w, r, &requestBody{ReadCloser: r.Body}, denial{}, Text, err)
}

// DenyAlone is Deny where others write an answer afterwards, such as error routes. The client
// gets nothing of theirs.
func DenyAlone(w http.ResponseWriter, r *http.Request, err error) {
	deny(w, r, &requestBody{ReadCloser: r.Body}, denial{alone: true}, Text, err)
}

// deny completes a denial with an error's status and text, and answers with it. It writes the
// response itself: returning the error to Caddy would give an empty body.
func deny(w http.ResponseWriter, r *http.Request, body *requestBody, d denial, form Form, err error) {
	status, text, lines := statusOf(err)
	header := w.Header()
	maps.Copy(header, lines)
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", Challenge)
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		header.Set("Retry-After", retryAfter(err))
	}
	d.status = status
	d.contentType, d.text = form(status, text)
	if header.Get("Cache-Control") == "" { // caches keep some refusals otherwise (RFC 9111 section 4.2.2)
		header.Set("Cache-Control", cmp.Or(d.cacheControl, "private, no-store"))
	}
	d.answer(w, r, body)
}

// retryAfter says, in seconds, when what failed is tried again: a store that is not open
// at its interval, which grows, and all else at the shortest.
func retryAfter(err error) string {
	interval := pool.RetryInterval
	var waits *waiting.Retried
	if errors.As(err, &waits) {
		interval = waits.Interval
	}
	return strconv.Itoa(int(math.Ceil(interval.Seconds())))
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
