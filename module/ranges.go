package module

import (
	"net/http"
	"strings"
)

// nowhere is a range that no file has.
const nowhere = "9223372036854775807-"

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
