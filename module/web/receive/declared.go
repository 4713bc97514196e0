package receive

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// What a request says of its body and cannot be published.
var (
	errChecksumDeploy = visit.Refuse(http.StatusNotFound, "X-Checksum-Deploy is not supported: send the file")
	errNoLength       = visit.Refuse(http.StatusLengthRequired, "Content-Length is missing, and there is no body: send the file, or Content-Length: 0 for an empty one")
	errCoding         = error(&visit.Refusal{
		Status: http.StatusUnsupportedMediaType,
		Text:   "Content-Encoding is not supported: send the file as it is",
		Header: http.Header{"Accept-Encoding": {"identity"}}, // RFC 9110 section 15.5.16
	})
	errContentRange = visit.Refuse(http.StatusBadRequest, "Content-Range does not cover the whole body: a part of a file cannot be published")
	errIncomplete   = visit.Refuse(http.StatusBadRequest, "Upload-Complete says that more bytes follow, but resumable uploads are not possible here: send the whole file")
	errTrailer      = visit.Refuse(http.StatusBadRequest, "a digest in a trailer is not verified: send it in the header of the request")
)

// Declaration is what a request says of its body.
type Declaration struct {
	digests
	length int64 // of the whole body, by Content-Range; -1 without one
}

// Declared judges what a request that publishes a file says of its body, before any store
// is asked: whether there is one, its coding, its range and its digests.
func Declared(r *http.Request) (Declaration, error) {
	// With it Artifactory's clients ask for a copy of bytes that are there already, and
	// send them after a 404.
	if strings.EqualFold(r.Header.Get("X-Checksum-Deploy"), "true") {
		return Declaration{}, errChecksumDeploy
	}
	// RFC 9110 section 15.5.12. Otherwise a forgotten body would be an empty file for good.
	if _, ok := r.Header["Content-Length"]; !ok && r.ContentLength == 0 {
		return Declaration{}, errNoLength
	}
	// Where uploads are not resumed, the beginning of a file must not become the file.
	if strings.HasPrefix(strings.TrimSpace(r.Header.Get("Upload-Complete")), "?0") {
		return Declaration{}, errIncomplete
	}
	if err := CheckCoding(r); err != nil {
		return Declaration{}, err
	}
	length, err := wholeLength(r)
	if err != nil {
		return Declaration{}, err
	}
	wanted, err := parseDigests(r.Header)
	return Declaration{wanted, length}, err
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
			return visit.Tell(errTrailer, "%s in a trailer is not verified: send it in the header of the request", name)
		}
	}
	return nil
}

// declaredBody fails at its end when it was not what the request's head said.
type declaredBody struct {
	io.ReadCloser
	request *http.Request
	whole   bool  // it is a file
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
	if b.whole && b.read == 0 && b.request.ProtoMajor == 3 && len(b.request.Header["Content-Length"]) == 0 {
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
