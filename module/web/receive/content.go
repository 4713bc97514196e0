package receive

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Limits bound what is received of one upload.
type Limits struct {
	// FileSize is the largest file, in bytes. Zero is no limit.
	FileSize int64
	// StallTimeout is how long an upload may go without sending anything. Zero leaves that
	// to the server.
	StallTimeout time.Duration
	// LeastRate is how many bytes per second must come of an upload. RateOff ends none.
	LeastRate int64
}

// Content returns the bytes that a request publishes: its body as sent, or the file part of
// a multipart form (RFC 7578). Every digest that the client named is verified before the
// bytes are accepted, and everything else that the request said of them. The body ends when
// it stalls, or comes too slowly. Whoever has read it calls done, also after an error.
func (l Limits) Content(w http.ResponseWriter, r *http.Request, said Declaration) (content registry.Content, done func(), err error) {
	body, done := l.pace(w, r, &declaredBody{ReadCloser: r.Body, request: r, whole: true, length: said.length})
	content, err = l.content(r, body, said.digests)
	return content, done, err
}

func (l Limits) content(r *http.Request, body io.Reader, wanted digests) (registry.Content, error) {
	boundary, isForm, err := formBoundary(r.Header.Get("Content-Type"))
	if err != nil {
		return registry.Content{}, err
	}
	if isForm {
		return l.formContent(body, boundary, wanted)
	}
	if l.FileSize > 0 && r.ContentLength > l.FileSize {
		return registry.Content{}, l.tooLarge()
	}
	all, err := wanted.together()
	if err != nil {
		return registry.Content{}, err
	}
	sha, others := splitSHA256(all)
	return registry.Content{
		Body:   verify(l.limit(body), others),
		Size:   r.ContentLength,
		SHA256: sha,
	}, nil
}

// limit returns a reader that fails with ErrTooLarge beyond the largest size that
// may be published.
func (l Limits) limit(reader io.Reader) io.Reader {
	if l.FileSize == 0 {
		return reader
	}
	return transfer.LimitBody(reader, l.FileSize, l.tooLarge())
}

func (l Limits) tooLarge() error {
	return visit.Tell(store.ErrTooLarge, "%v: max_file_size is %d bytes", fmt.Sprint(store.ErrTooLarge), l.FileSize)
}
