package admin

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup/moving"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	BlobPath = "/blob"
	// ParameterDigest is the SHA-256 of the bytes.
	ParameterDigest = "sha256"

	BlobType = "application/octet-stream"
)

// serveBlob streams the bytes of a digest as they are stored: who reads them compares. When
// reading fails on its way the connection is cut, and when it fails at once the answer says why.
func serveBlob(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	digest, err := store.ParseDigest(r.URL.Query().Get(ParameterDigest))
	if err != nil {
		return refuse(http.StatusBadRequest, fmt.Errorf("%s: %w", ParameterDigest, err))
	}
	return withRegistry(r, func(reg pool.Opened) error {
		content, size, err := moving.OpenBlob(r.Context(), reg.Registry, digest)
		if err != nil {
			return storeError(err)
		}
		defer content.Close()
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		out := newStream(w, BlobType)
		if size == 0 {
			_, err = out.Write(nil) // the header
		} else {
			_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{content}, make([]byte, min(size, streamBuffer)))
		}
		if err != nil && !out.begun {
			w.Header().Del("Content-Length")
			return storeError(err)
		}
		return out.end(r, err)
	})
}
