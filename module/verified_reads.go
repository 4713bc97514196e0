package module

import (
	"io"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// serveVerified serves a file so that no complete response has other bytes than
// those that were published. What is wrong before the answer begins is an error;
// later the response is cut: over HTTP/1 it is shorter than it says, over HTTP/2 and
// HTTP/3 its stream is reset.
func (h *Handler) serveVerified(w http.ResponseWriter, r *http.Request, store *registry.Registry, file registry.File, content io.ReadSeeker, rt route) error {
	body := content
	if r.Method == http.MethodGet {
		switch statusOfContent(r, file) {
		case http.StatusPartialContent:
			// A part says nothing of the digest: all of it is read before.
			if err := verifyWhole(r, store, file, content); err != nil {
				return err
			}
		case http.StatusOK:
			whole := store.Verified(r.Context(), file, content)
			defer whole.Release()
			if err := whole.Begin(); err != nil {
				return err
			}
			body = whole
		}
	}
	setDownloadHeaders(w.Header(), file)
	http.ServeContent(w, r, "", file.Created, body)
	if whole, ok := body.(*registry.VerifiedReader); ok && whole.Err() != nil {
		h.logFailure(http.StatusInternalServerError, r.Method, rt, whole.Err())
		panic(http.ErrAbortHandler)
	}
	return nil
}

// verifyWhole reads a file before a part of it is served. Nobody waits for an
// answer when the client has gone meanwhile.
func verifyWhole(r *http.Request, store *registry.Registry, file registry.File, content io.ReadSeeker) error {
	err := store.VerifyContent(r.Context(), file, content)
	if err != nil && r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	return err
}

// statusOfContent is what http.ServeContent is going to answer: whether conditions
// hold and ranges can be served is its to say. It reads nothing.
func statusOfContent(r *http.Request, file registry.File) int {
	rehearsal := &rehearsedWriter{header: make(http.Header)}
	setDownloadHeaders(rehearsal.header, file)
	head := r.WithContext(r.Context())
	head.Method = http.MethodHead
	http.ServeContent(rehearsal, head, "", file.Created, io.NewSectionReader(nothing{}, 0, file.Size))
	return rehearsal.status
}

// rehearsedWriter is a response that nobody gets.
type rehearsedWriter struct {
	header http.Header
	status int
}

func (w *rehearsedWriter) Header() http.Header { return w.header }

func (w *rehearsedWriter) WriteHeader(status int) { w.status = status }

func (w *rehearsedWriter) Write(p []byte) (int, error) { return len(p), nil }

// nothing has a size and no bytes.
type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
