package receive

import (
	"io"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Sums are the digests that a request names of an upload that comes in several requests.
type Sums struct {
	// Body is the SHA-256 of the request's body, Stored that of the file. Nil when the
	// request does not say.
	Body, Stored *store.Digest
	// Others tells whether digests of other algorithms are named. They need all bytes at
	// once.
	Others bool
}

// SHA256 reads the digests that a request names. A value that cannot be read is a refusal.
func SHA256(header http.Header) (sums Sums, err error) {
	wanted, err := parseDigests(header)
	if err != nil {
		return sums, err
	}
	var ofBody, ofStored []digest
	sums.Body, ofBody = splitSHA256(wanted.body)
	sums.Stored, ofStored = splitSHA256(wanted.stored)
	sums.Others = len(ofBody)+len(ofStored) > 0
	return sums, nil
}

// CheckPart refuses what CheckCoding does, and what is said of a whole file and nobody would
// hold a part of it against.
func CheckPart(r *http.Request) error {
	if _, said := r.Header["Content-Range"]; said {
		return errContentRange
	}
	if strings.EqualFold(r.Header.Get("X-Checksum-Deploy"), "true") {
		return errChecksumDeploy
	}
	return CheckCoding(r)
}

// CheckCoding refuses a request of which the bytes are coded, or have a digest in a trailer,
// which nobody would compare.
func CheckCoding(r *http.Request) error {
	if !isIdentity(r.Header.Values("Content-Encoding")) {
		return errCoding
	}
	return checkTrailers(r)
}

// Verified returns the body of a request that publishes no file. It ends as that of Paced, and
// fails with ErrDigest at its end when it has another digest than the request names. What
// CheckCoding refuses and a digest that cannot be read are refusals. Whoever has read the body
// calls done, unless there is an error.
func (l Limits) Verified(w http.ResponseWriter, r *http.Request) (body io.Reader, done func(), err error) {
	if err := CheckCoding(r); err != nil {
		return nil, nil, err
	}
	wanted, err := parseDigests(r.Header)
	if err != nil {
		return nil, nil, err
	}
	all, err := wanted.together()
	if err != nil {
		return nil, nil, err
	}
	body, done = l.Paced(w, r, false)
	return verify(body, all), done, nil
}

// Paced returns the body of a request, which ends when it stalls, or comes too slowly, and fails
// at its end with a digest in a trailer, or when it is not there and is the whole of a file.
// Whoever has read it calls done.
func (l Limits) Paced(w http.ResponseWriter, r *http.Request, whole bool) (body io.Reader, done func()) {
	return l.pace(w, r, &declaredBody{ReadCloser: r.Body, request: r, whole: whole, length: -1})
}
