package module

import (
	"io"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sendsBytes tells whether a request for a file is answered with bytes of it. What
// is not, such as HEAD and 304, needs no more than what is known of the file: bytes
// that are missing are found by the first GET that wants them, or by the scrub, and
// not by a HEAD, which is 200 until then.
func sendsBytes(r *http.Request, file store.File) bool {
	if r.Method != http.MethodGet {
		return false
	}
	status := statusOfContent(r, file)
	return status == http.StatusOK || status == http.StatusPartialContent
}

// statusOfContent is what http.ServeContent is going to answer: whether conditions
// hold and ranges can be served is its to say. It reads nothing.
func statusOfContent(r *http.Request, file store.File) int {
	if !isConditional(r.Header) {
		return http.StatusOK
	}
	rehearsal := &rehearsedWriter{header: make(http.Header)}
	setDownloadHeaders(rehearsal.header, file)
	head := r.WithContext(r.Context())
	head.Method = http.MethodHead
	http.ServeContent(rehearsal, head, "", file.Created, noBytes(file.Size))
	return rehearsal.status
}

// isConditional tells whether a header can make the answer to a request another than
// the whole file (RFC 9110 sections 13.1 and 14.2).
func isConditional(header http.Header) bool {
	for _, name := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if _, ok := header[name]; ok {
			return true
		}
	}
	return false
}

// rehearsedWriter is a response that nobody gets.
type rehearsedWriter struct {
	header http.Header
	status int
}

func (w *rehearsedWriter) Header() http.Header { return w.header }

func (w *rehearsedWriter) WriteHeader(status int) { w.status = status }

func (w *rehearsedWriter) Write(p []byte) (int, error) { return len(p), nil }

// noBytes is content of which only the size matters.
func noBytes(size int64) io.ReadSeeker { return io.NewSectionReader(nothing{}, 0, size) }

type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
