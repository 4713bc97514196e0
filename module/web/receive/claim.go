package receive

import (
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Claim is what a request says of the file that it publishes, before any byte comes.
type Claim struct {
	// SHA256 of the file. Nil when the request does not say.
	SHA256 *store.Digest
	// Size in bytes, -1 when the request does not say.
	Size int64

	open bool // something is said that only the bytes can be held against
}

// Claim returns what the request says of the file.
func (d Declaration) Claim(r *http.Request) Claim {
	if IsForm(r) {
		sha, _ := splitSHA256(d.stored)
		return Claim{SHA256: sha, Size: -1, open: true}
	}
	all, err := d.together()
	if err != nil {
		return Claim{Size: -1, open: true} // which is told when the body is about to come
	}
	sha, others := splitSHA256(all)
	return Claim{sha, max(r.ContentLength, d.length), len(others) > 0}
}

// Contradicts tells whether the bytes of a file cannot be those that come.
func (c Claim) Contradicts(file store.File) bool {
	return c.SHA256 != nil && *c.SHA256 != file.Digest || c.Size >= 0 && c.Size != file.Size
}

// IsOf tells whether the claim is sure to be of a file: the bytes that come are the file's, or
// the claim is wrong.
func (c Claim) IsOf(file store.File) bool {
	return !c.open && c.SHA256 != nil && !c.Contradicts(file)
}
