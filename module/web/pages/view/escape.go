package view

import "strings"

// Segment returns a name as one segment of a path. Everything but the unreserved
// characters is escaped (RFC 3986 section 2.3), so that no name means anything to a
// browser, a shell or a client that walks links.
func Segment(name string) string {
	const hex = "0123456789ABCDEF"
	var escaped strings.Builder
	escaped.Grow(len(name))
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			escaped.WriteByte(c)
			continue
		}
		escaped.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return escaped.String()
}
