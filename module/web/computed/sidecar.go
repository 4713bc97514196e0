package computed

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Hash is the name of a hash, in which the name of a file with the hash of another one ends.
type Hash string

// Hashes are those that there are.
var Hashes = []Hash{"sha256"}

// CheckHash reports a name that is not one of Hashes.
func CheckHash(name string) error {
	if !slices.Contains(Hashes, Hash(name)) {
		return fmt.Errorf("%q is not a hash that can be computed: write some of %v", name, Hashes)
	}
	return nil
}

// ServeSidecar answers a GET or HEAD with the SHA-256 of a file, as sha256sum writes it.
func ServeSidecar(w http.ResponseWriter, r *http.Request, file store.File) error {
	setHeaders(w.Header(), "text/plain; charset=utf-8")
	return serveParts(w, r, func(yield func(part, error) bool) {
		yield(part{text: []byte(sumLine(file.Digest.String(), file.File))}, nil)
	}, nil)
}
