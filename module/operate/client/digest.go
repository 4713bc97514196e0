package client

import (
	"net/http"
	"strings"

	"github.com/dunglas/httpsfv"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// DigestOf returns the SHA-256 that an answer says a file has (RFC 9530, or the ETag of
// this project), and whether it says one.
func DigestOf(header http.Header) (digest store.Digest, found bool) {
	if sum, ok := reprDigest(header); ok {
		return sum, true
	}
	if header.Get("X-Checksum-Sha256") != "" {
		digest, err := store.ParseDigest(strings.ToLower(header.Get("X-Checksum-Sha256")))
		return digest, err == nil
	}
	digest, err := store.ParseDigest(strings.Trim(header.Get("ETag"), `"`))
	return digest, err == nil
}

// IsPublished tells whether an answer is a file that somebody published, and not one that the
// registry computed, which has no digest. The digest may be that of a redirect.
func IsPublished(answer *http.Response) bool {
	for ; answer != nil; answer = answer.Request.Response {
		if answer.Header.Get("Repr-Digest") != "" || answer.Header.Get("X-Checksum-Sha256") != "" {
			return true
		}
	}
	return false
}

// reprDigest reads the SHA-256 of a Repr-Digest (RFC 9530 section 3).
func reprDigest(header http.Header) (digest store.Digest, found bool) {
	dictionary, err := httpsfv.UnmarshalDictionary(header.Values("Repr-Digest"))
	if err != nil {
		return digest, false
	}
	member, _ := dictionary.Get("sha-256")
	item, _ := member.(httpsfv.Item)
	sum, _ := item.Value.([]byte)
	return digest, copy(digest[:], sum) == len(digest) && len(sum) == len(digest)
}

// SetDigest says what the whole file has.
func SetDigest(header http.Header, digest store.Digest) error {
	dictionary := httpsfv.NewDictionary()
	dictionary.Add("sha-256", httpsfv.NewItem(digest[:]))
	text, err := httpsfv.Marshal(dictionary)
	if err != nil {
		return err
	}
	header.Set("Repr-Digest", text)
	header.Set("X-Checksum-Sha256", digest.String())
	return nil
}
