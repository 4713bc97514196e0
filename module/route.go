package module

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

var (
	// errNoRoute: a path under the prefix that names neither a file nor a version.
	errNoRoute = errors.New("not found: a file is at {owner}/generic/{package}/{version}/{file} under the prefix")

	// errSlash: a path that names a folder. Guards in front that compare whole paths see
	// another one than without the slash.
	errSlash = errors.New("not found: leave the slash at the end of the path out")
)

// packageType is the path segment between owner and package. It is compared with
// case.
const packageType = "generic"

// route is what a request is about: a file, or a version when File is empty.
type route struct{ store.Ref }

const (
	versionMethods = "DELETE"
	fileMethods    = "DELETE, GET, HEAD, PUT"
)

// methods returns the methods that the route answers, as Allow lists them
// (RFC 9110 section 10.2.1).
func (r route) methods() string {
	if r.File == "" {
		return versionMethods
	}
	return fileMethods
}

// methodError tells a client which method would be right.
func (r route) methodError() error {
	if r.File == "" {
		return tell(errMethod, "%v: this path is a version's; the name of a file comes after it", errMethod)
	}
	return errMethod
}

func (r route) allows(method string) bool {
	switch method {
	case http.MethodDelete:
		return true
	case http.MethodGet, http.MethodHead, http.MethodPut:
		return r.File != ""
	}
	return false
}

// parsePath returns the segments of a path of the configuration, the value of a
// word.
func parsePath(word, path string) ([]string, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, fmt.Errorf("%s is %q: it must begin with /", word, path)
	}
	if err := CheckPathHasNoPattern(word, path); err != nil {
		return nil, err
	}
	segments, err := splitPath(path)
	if err != nil {
		return nil, fmt.Errorf("%s is %q: %w", word, path, err)
	}
	for _, segment := range segments {
		if err := store.CheckElement(segment); err != nil {
			return nil, fmt.Errorf("%s is %q: %w", word, path, err)
		}
	}
	return segments, nil
}

// CheckPathHasNoPattern reports a * in a path of the configuration, the value of a
// word, which would stand for itself.
func CheckPathHasNoPattern(word, path string) error {
	if strings.Contains(path, "*") {
		return fmt.Errorf("%s %q has a *: write the path alone, such as %s, because everything below it is meant anyway",
			word, path, cmp.Or(strings.TrimRight(path[:strings.Index(path, "*")], "/"), "/"))
	}
	return nil
}

// splitPath splits an escaped path, drops empty segments and dots inside the path, as
// Caddy's matchers do, and unescapes each of the others once, so that %2F stays inside
// its segment.
func splitPath(escaped string) ([]string, error) {
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

// isUnder tells whether a path is a prefix or under it.
func isUnder(prefix, path []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

// parseRoute reads a request's path. Inside tells whether it is under the prefix;
// when it is not, the request is not ours. Its errors are ErrUnsafePath,
// ErrInvalidOwner, errSlash and errNoRoute. Other names are judged when they are
// published.
func parseRoute(prefix []string, escaped string) (rt route, inside bool, err error) {
	segments, err := splitPath(escaped)
	if err != nil {
		// Which segment is bad cannot matter: nobody else can serve it either.
		return route{}, true, err
	}
	if !isUnder(prefix, segments) {
		return route{}, false, nil
	}
	segments = segments[len(prefix):]
	for _, segment := range segments {
		if err := store.CheckElement(segment); err != nil {
			return route{}, true, err
		}
	}
	if len(segments) < 4 || len(segments) > 5 || segments[1] != packageType {
		return route{}, true, errNoRoute
	}
	rt.Owner, rt.Package, rt.Version = segments[0], segments[2], segments[3]
	if len(segments) == 5 {
		rt.File = segments[4]
	}
	if err := store.CheckOwner(rt.Owner); err != nil {
		return rt, true, err
	}
	if strings.HasSuffix(escaped, "/") {
		return rt, true, errSlash
	}
	return rt, true, nil
}
