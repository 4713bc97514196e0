package computed

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/hashing"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Hash is the name of a hash, in which the name of a file with the hash of another one ends.
type Hash string

// Hashes are those that there are.
var Hashes = []Hash{"sha256", "sha512", "sha1", "md5"}

// CheckHash reports a name that is not one of Hashes.
func CheckHash(name string) error {
	if !slices.Contains(Hashes, Hash(name)) {
		return fmt.Errorf("%q is not a hash that can be computed: write some of %v", name, Hashes)
	}
	return nil
}

// errNotHashed: the file was not read for its hashes yet.
var errNotHashed = visit.Refuse(http.StatusServiceUnavailable, "the checksum is being computed, try again later")

// ServeSidecar answers a GET or HEAD with a hash of a file, as sha256sum and its like write
// it. The error is 503 while the file has still to be read for it.
func ServeSidecar(w http.ResponseWriter, r *http.Request, reg *registry.Registry, file store.File, hash Hash) error {
	sum, err := sumOf(r, reg, file, hash)
	if errors.Is(err, hashing.ErrNotHashed) {
		return errNotHashed
	}
	if err != nil {
		return err
	}
	setHeaders(w.Header(), "text/plain; charset=utf-8")
	return serveParts(w, r, func(yield func(part, error) bool) {
		yield(part{text: []byte(sumLine(sum, file.File))}, nil)
	}, nil)
}

func sumOf(r *http.Request, reg *registry.Registry, file store.File, hash Hash) (string, error) {
	if hash == "sha256" {
		return file.Digest.String(), nil
	}
	hashes, err := reg.Hashes(r.Context(), file)
	switch {
	case err != nil:
		return "", err
	case hash == "sha512":
		return hashes.SHA512(), nil
	case hash == "sha1":
		return hashes.SHA1(), nil
	}
	return hashes.MD5(), nil
}
