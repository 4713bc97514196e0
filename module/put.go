package module

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// put publishes a request's body. What can be refused without reading it is.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, reg *registry.Registry, ref store.Ref, declared declaration, record *record) error {
	existing, err := reg.Lookup(r.Context(), ref)
	exists := err == nil
	if err != nil && !errors.Is(err, store.ErrPackageNotFound) && !errors.Is(err, store.ErrFileNotFound) {
		return fmt.Errorf("looking up file: %w", err)
	}
	if failed := failedPrecondition(r.Header, exists, existing); failed != "" {
		return tell(errPrecondition, "%v: %s", errPrecondition, failed)
	}
	if exists {
		return store.ErrExists
	}
	r.Body = h.pace(w, &declaredBody{ReadCloser: r.Body, request: r, length: declared.length})
	content, err := h.content(r, declared.digests)
	if err != nil {
		return err
	}
	file, err := reg.Publish(r.Context(), ref, record.who.user, content, h.limits(ref.Owner))
	if errors.Is(err, store.ErrDigest) {
		return errors.Join(mismatch(r.Header), err)
	}
	if err != nil {
		return err
	}
	record.found(file)
	header := w.Header()
	setValidators(header, file.Digest)
	header.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// impatientBody ends an upload that stalls.
type impatientBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
}

func (b *impatientBody) Read(p []byte) (int, error) {
	// A connection that takes no deadline keeps the server's own.
	_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
	return b.ReadCloser.Read(p)
}

func (h *Handler) limits(owner string) registry.Limits {
	return registry.Limits{Quota: h.access.Quota(owner), Uploads: h.MaxUploads, UserUploads: h.MaxUserUploads}
}

// originalPath returns the path as the client sent it, before any rewrite.
func originalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL.EscapedPath()
	}
	return r.URL.EscapedPath()
}
