package module

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// What a PUT says of its body and cannot be published. Their statuses are in one table,
// status.go.
var (
	errChecksumDeploy = errors.New("X-Checksum-Deploy is not supported: send the file")
	errNoLength       = errors.New("Content-Length is missing, and there is no body: send the file, or Content-Length: 0 for an empty one")
	errCoding         = errors.New("Content-Encoding is not supported: send the file as it is")
	errContentRange   = errors.New("Content-Range does not cover the whole body: a part of a file cannot be published")
	errTrailer        = errors.New("a digest in a trailer is not verified: send it in the head of the request")
)

// declaration is what a PUT says of its body.
type declaration struct {
	digests
	length int64 // of the whole body, by Content-Range; -1 without one
}

// checkPut judges what a PUT says of itself, before any store is asked: names, whether
// there is a body, its coding, its range and its digests.
func (h *Handler) checkPut(r *http.Request, rt route) (declaration, error) {
	if err := h.checkNames(rt); err != nil {
		return declaration{}, err
	}
	// With it Artifactory's clients ask for a copy of bytes that are there already, and
	// send them after a 404.
	if strings.EqualFold(r.Header.Get("X-Checksum-Deploy"), "true") {
		return declaration{}, errChecksumDeploy
	}
	// RFC 9110 section 15.5.12. Otherwise a forgotten body would be an empty file for good.
	if _, ok := r.Header["Content-Length"]; !ok && r.ContentLength == 0 {
		return declaration{}, errNoLength
	}
	if !isIdentity(r.Header.Values("Content-Encoding")) {
		return declaration{}, errCoding
	}
	length, err := wholeLength(r)
	if err != nil {
		return declaration{}, err
	}
	if err := checkTrailers(r); err != nil {
		return declaration{}, err
	}
	wanted, err := parseDigests(r.Header)
	return declaration{wanted, length}, err
}

func (h *Handler) checkNames(rt route) error {
	err := store.CheckNames(rt.Ref, h.FileNames)
	switch {
	case errors.Is(err, store.ErrInvalidPackage):
		return tell(err, "%v: at most %d letters, digits and .-+_, not one of those marks alone", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidVersion):
		return tell(err, "%v: at most %d bytes, no white space at either end", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidFile) && h.FileNames == store.FileNamesGitea:
		return tell(err, "%v: at most %d letters, digits and .-+_=:;()[]{}~!@#$%%^&, spaces not at either end", err, store.MaxNameLength)
	case errors.Is(err, store.ErrInvalidFile):
		return tell(err, "%v: at most %d letters, digits and .-+_; file_names gitea allows more", err, store.MaxNameLength)
	}
	return err
}

// isIdentity tells whether a list of content codings leaves the bytes as they are
// (RFC 9110 section 8.4). Others would be stored coded and served as if plain.
func isIdentity(lines []string) bool {
	for _, line := range lines {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
				return false
			}
		}
	}
	return true
}

var wholeRange = regexp.MustCompile(`^(?i:bytes)[ \t]+0-([0-9]{1,18})/([0-9]{1,18})$`)

// wholeLength returns the length that a Content-Range says the body has, -1 without
// one. Only the whole may become the file (RFC 9110 section 14.5).
func wholeLength(r *http.Request) (int64, error) {
	lines, ok := r.Header["Content-Range"]
	if !ok {
		return -1, nil
	}
	parts := wholeRange.FindStringSubmatch(strings.Join(lines, ", "))
	if parts == nil {
		return 0, errContentRange
	}
	last, lastErr := strconv.ParseInt(parts[1], 10, 64)
	length, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || lastErr != nil || last != length-1 || r.ContentLength >= 0 && r.ContentLength != length {
		return 0, errContentRange
	}
	return length, nil
}

// checkTrailers refuses digests in the trailers that a request announces or has: they
// come after the bytes, and would not be verified (RFC 9530 section 2 allows them).
func checkTrailers(r *http.Request) error {
	names := make([]string, 0, len(r.Trailer))
	for name := range r.Trailer {
		names = append(names, name)
	}
	for _, line := range r.Header["Trailer"] { // where HTTP/3 leaves it
		names = append(names, strings.Split(line, ",")...)
	}
	for _, name := range names {
		if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); slices.Contains(digestHeaders, name) {
			return tell(errTrailer, "%s in a trailer is not verified: send it in the head of the request", name)
		}
	}
	return nil
}

// declaredBody fails at its end when it was not what the request's head said.
type declaredBody struct {
	io.ReadCloser
	request *http.Request
	length  int64 // -1 when the head does not say
	read    int64
}

func (b *declaredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if err != io.EOF {
		return n, err
	}
	// HTTP/3 says only now that there is no body.
	if b.read == 0 && b.request.ProtoMajor == 3 && len(b.request.Header["Content-Length"]) == 0 {
		return n, errNoLength
	}
	if b.length >= 0 && b.read != b.length {
		return n, fmt.Errorf("%w: %d bytes came", errContentRange, b.read)
	}
	if err := checkTrailers(b.request); err != nil {
		return n, err
	}
	return n, io.EOF
}
