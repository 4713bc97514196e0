package visit

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
)

// PackageType is the only type of packages here: the path segment between owner and package,
// in every API. It is compared with case.
const PackageType = "generic"

// Path is the path of a request, or what of it comes after a prefix.
type Path struct {
	segments []string
	folder   bool
	err      error
}

// ParsePath reads an escaped path. It drops empty segments and dots inside the path, as
// Caddy's matchers do, and unescapes each of the others once, so that %2F stays inside its
// segment.
func ParsePath(escaped string) Path {
	segments, err := split(escaped)
	return Path{segments, strings.HasSuffix(escaped, "/"), err}
}

// Under returns the path after a prefix, and whether it is the prefix or below it. A path
// with a bad escape is below every prefix: which segment is bad cannot matter, and nobody
// else can serve it either.
func (p Path) Under(prefix []string) (Path, bool) {
	if p.err != nil {
		return p, true
	}
	if !IsUnder(prefix, p.segments) {
		return Path{}, false
	}
	p.segments = p.segments[len(prefix):]
	return p, true
}

// Segments returns the segments of the path. ErrUnsafePath when guards in front could see
// another path.
func (p Path) Segments() ([]string, error) {
	if p.err != nil {
		return nil, p.err
	}
	for _, segment := range p.segments {
		if err := naming.CheckElement(segment); err != nil {
			return nil, err
		}
	}
	return p.segments, nil
}

// Depth is how many segments the path has.
func (p Path) Depth() int { return len(p.segments) }

// IsFolder tells whether the path ends in a slash. Guards in front that compare whole paths
// see another one than without the slash.
func (p Path) IsFolder() bool { return p.folder }

// IsUnder tells whether a path is a prefix or below it.
func IsUnder(prefix, path []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

func split(escaped string) ([]string, error) {
	segments := make([]string, 0, 8)
	for rest, more := escaped, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "" || segment == "." && more {
			continue
		}
		unescaped, err := url.PathUnescape(segment)
		if err != nil {
			return nil, fmt.Errorf("%w: bad escape", store.ErrUnsafePath)
		}
		segments = append(segments, unescaped)
	}
	return segments, nil
}

// ParsePrefix returns the segments of a path of the configuration, the value of a word.
func ParsePrefix(word, path string) ([]string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s is %q: it must begin with /", word, path)
	}
	if err := CheckPathHasNoPattern(word, path); err != nil {
		return nil, err
	}
	segments, err := ParsePath(path).Segments()
	if err != nil {
		return nil, fmt.Errorf("%s is %q: %w", word, path, err)
	}
	return segments, nil
}

// CheckPathHasNoPattern reports a * in a path of the configuration, the value of a
// word, which would stand for itself.
func CheckPathHasNoPattern(word, path string) error {
	if strings.Contains(path, "*") {
		return fmt.Errorf("%s %q has a *: write the path alone, such as %s, because a path includes everything below it",
			word, path, cmp.Or(strings.TrimRight(path[:strings.Index(path, "*")], "/"), "/"))
	}
	return nil
}
