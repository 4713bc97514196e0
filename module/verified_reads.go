package module

import (
	"context"
	"io"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// serveVerified serves a file so that no complete response has other bytes than
// those that were published. What is wrong before the answer begins is an error;
// later the response is cut: over HTTP/1 it is shorter than it says, over HTTP/2 and
// HTTP/3 its stream is reset.
func (h *Handler) serveVerified(ctx context.Context, w http.ResponseWriter, r *http.Request, reg *registry.Registry, file store.File, content io.ReadSeeker, rt route) error {
	body := content
	if r.Method == http.MethodGet {
		switch statusOfContent(r, file) {
		case http.StatusPartialContent:
			// A part says nothing of the digest: all of it is read before.
			if err := verifyWhole(ctx, reg, file, content); err != nil {
				return err
			}
		case http.StatusOK:
			whole := reg.Verified(ctx, file, content)
			defer whole.Release()
			if err := whole.Begin(); err != nil {
				return err
			}
			body = whole
		}
	}
	setDownloadHeaders(w.Header(), file)
	http.ServeContent(w, r, "", file.Created, body)
	if whole, ok := body.(*integrity.VerifiedReader); ok && whole.Err() != nil {
		h.logFailure(http.StatusInternalServerError, r.Method, rt, whole.Err())
		panic(http.ErrAbortHandler)
	}
	return nil
}

// verifyWhole reads a file before a part of it is served. Nobody waits for an
// answer when the client has gone meanwhile.
func verifyWhole(ctx context.Context, reg *registry.Registry, file store.File, content io.ReadSeeker) error {
	err := reg.VerifyContent(ctx, file, content)
	if err != nil && ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	return err
}
