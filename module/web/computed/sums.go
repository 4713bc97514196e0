package computed

import (
	"context"
	"strings"
	"unicode"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// sumsParts is the SHA256SUMS of a version, as sha256sum writes it. Names with white space
// come last: a widely used downloader takes the first line of three fields for the sum of
// whatever file it wants.
func sumsParts(ctx context.Context, v *version) parts {
	return func(yield func(part, error) bool) {
		for _, spaced := range []bool{false, true} {
			for file, err := range v.files(ctx) {
				if err != nil {
					yield(part{}, err)
					return
				}
				if hasSpace(file.File) == spaced && !yield(part{text: []byte(sumLine(file.Digest.String(), file.File))}, nil) {
					return
				}
			}
		}
	}
}

func hasSpace(name string) bool { return strings.ContainsFunc(name, unicode.IsSpace) }

// SumSize is the size of the line that SHA256SUMS has for a file.
func SumSize(file string) int64 {
	return int64(len(sumLine(store.Digest{}.String(), file)))
}

// sumLine is a line as sha256sum, sha512sum, sha1sum and md5sum write and check it.
func sumLine(sum, name string) string { return sum + "  " + name + "\n" }
