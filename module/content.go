package module

import (
	"fmt"
	"io"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// content returns the bytes that a PUT publishes: its body as sent, or the file part of
// a multipart form (RFC 7578). Every digest that the client named is verified before
// the bytes are accepted.
func (h *Handler) content(r *http.Request, wanted digests) (registry.Content, error) {
	boundary, isForm, err := formBoundary(r.Header.Get("Content-Type"))
	if err != nil {
		return registry.Content{}, err
	}
	if isForm {
		return h.formContent(r.Body, boundary, wanted)
	}
	if h.MaxFileSize > 0 && r.ContentLength > h.MaxFileSize {
		return registry.Content{}, h.tooLarge()
	}
	all, err := wanted.together()
	if err != nil {
		return registry.Content{}, err
	}
	sha, others := splitSHA256(all)
	return registry.Content{
		Body:   verify(h.limit(r.Body), others),
		Size:   r.ContentLength,
		SHA256: sha,
	}, nil
}

// limit returns a reader that fails with ErrTooLarge beyond the largest size that
// may be published.
func (h *Handler) limit(reader io.Reader) io.Reader {
	if h.MaxFileSize == 0 {
		return reader
	}
	return registry.LimitBody(reader, h.MaxFileSize, h.tooLarge())
}

func (h *Handler) tooLarge() error {
	return tell(store.ErrTooLarge, "%v: max_file_size is %d bytes", fmt.Sprint(store.ErrTooLarge), h.MaxFileSize)
}
