package send

import (
	"net/http"
	"strings"
)

// nowhere is a range that no file has.
const nowhere = "9223372036854775807-"

// maxRanges is how many ranges of a file one request may ask for. More are ignored
// (RFC 9110 section 14.2): empty ones cost the client nothing, and a part's head
// each in the answer.
const maxRanges = 100

// trimRanges returns a request of which http.ServeContent answers the ranges as it should.
func trimRanges(r *http.Request, size int64) *http.Request {
	if strings.Count(r.Header.Get("Range"), ",") >= maxRanges {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	return withoutEmptySuffixes(r, size)
}

// withoutEmptySuffixes returns a request without ranges of the last zero bytes, and for
// an empty file without any of the last bytes: net/http would answer them with a
// Content-Range that ends before it begins. A suffix of zero bytes cannot be satisfied
// (RFC 9110 section 14.1.2); of an empty file all ranges are ignored.
func withoutEmptySuffixes(r *http.Request, size int64) *http.Request {
	ranges, isBytes := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !isBytes || !strings.Contains(ranges, "-") {
		return r
	}
	specs := strings.Split(ranges, ",")
	found := false
	for i, spec := range specs {
		suffix, isSuffix := strings.CutPrefix(strings.TrimSpace(spec), "-")
		suffix = strings.TrimSpace(suffix)
		if isSuffix && suffix != "" && strings.Trim(suffix, "0123456789") == "" && (size == 0 || strings.Trim(suffix, "0") == "") {
			specs[i], found = nowhere, true
		}
	}
	if !found {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Set("Range", "bytes="+strings.Join(specs, ","))
	return r
}
