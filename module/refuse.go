package module

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// What a refused request may still send before its connection is closed.
	discardBytes = 16 << 20
	discardTime  = 2 * time.Second

	// retryAfter, in seconds, is when a store in a state fault is tried again.
	retryAfter = "5"

	// challenge is the WWW-Authenticate of every 401 (RFC 7617).
	challenge = `Basic realm="Package registry", charset="UTF-8"`
)

// refuse answers with an error's status and text. It writes the response itself:
// returning the error to Caddy would give an empty body.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, body *requestBody, rt route, err error) {
	status, text := statusOf(err)
	if status >= http.StatusInternalServerError {
		h.logFailure(status, r.Method, rt, err)
	}
	header := w.Header()
	switch status {
	case http.StatusMethodNotAllowed:
		header.Set("Allow", rt.methods())
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter)
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))

	if r.ContentLength == 0 || body.done {
		writeText(w, status, text)
		return
	}
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close")
		if expectsContinue(r) && !body.touched {
			// The client has sent no body and waits for this answer; reading from it
			// would ask for the body (RFC 9110 section 10.1.1).
			writeText(w, status, text)
			return
		}
	}
	refuseUnread(w, status, text, body)
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

// refuseUnread answers a client that is still sending. Ending the connection, or
// with HTTP/2 the stream, on unread bytes would reset it, and many a client loses
// the answer then: so the answer goes out first, and a bounded part of the body is
// thrown away.
func refuseUnread(w http.ResponseWriter, status int, text string, body io.Reader) {
	control := http.NewResponseController(w)
	// Without full duplex net/http reads the body before it writes. A writer that
	// cannot do it answers late, but answers.
	_ = control.EnableFullDuplex()
	writeText(w, status, text)
	if control.Flush() != nil {
		return
	}
	if control.SetReadDeadline(time.Now().Add(discardTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, body, discardBytes)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
}

func expectsContinue(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Expect"), "100-continue")
}

// requestBody knows how much of a body was read.
type requestBody struct {
	io.ReadCloser
	touched bool // a read was tried
	done    bool // it ended
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.touched = true
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.done = true
	}
	return n, err
}
