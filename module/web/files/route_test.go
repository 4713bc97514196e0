package files

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

func TestParseRoute(t *testing.T) {
	prefix := []string{"api", "packages"}
	for _, test := range []struct {
		name, path string
		outside    bool
		err        error
		want       store.Ref
	}{
		{name: "a file", path: "/api/packages/o/generic/p/1/f", want: refOf("o", "p", "1", "f")},
		{name: "a version", path: "/api/packages/o/generic/p/1", want: refOf("o", "p", "1", "")},
		{name: "empty segments are dropped", path: "//api//packages/o///generic/p/1/f", want: refOf("o", "p", "1", "f")},
		{name: "escapes are undone once", path: "/api/packages/o/generic/p/1%252F/f%20x", want: refOf("o", "p", "1%2F", "f x")},
		{name: "an escaped slash stays in its segment", path: "/api/packages/o/generic/p/a%2Fb/f", want: refOf("o", "p", "a/b", "f")},
		{name: "a plus is a plus", path: "/api/packages/o/generic/p/1+2/f", want: refOf("o", "p", "1+2", "f")},
		{name: "an escaped prefix is the prefix", path: "/%61pi/packages/o/generic/p/1", want: refOf("o", "p", "1", "")},
		{name: "raw dots inside a path are dropped", path: "/api/./packages/o/./generic/././p/1/./f", want: refOf("o", "p", "1", "f")},
		{name: "a raw dot at the end", path: "/api/packages/o/generic/p/1/.", err: store.ErrUnsafePath},
		{name: "an escaped dot inside a path", path: "/api/packages/o/generic/p/1/%2e/f", err: store.ErrUnsafePath},
		{name: "a slash after a file", path: "/api/packages/o/generic/p/1/f/", err: errSlash},
		{name: "slashes after a version", path: "/api/packages/o/generic/p/1//", err: errSlash},
		{name: "a dot and a slash after a file", path: "/api/packages/o/generic/p/1/f/./", err: errSlash},
		{name: "an owner that is wrong before a slash at the end", path: "/api/packages/%20/generic/p/1/f/", err: store.ErrInvalidOwner},
		{name: "another path", path: "/other", outside: true},
		{name: "the prefix in another case", path: "/API/packages/o/generic/p/1/f", outside: true},
		{name: "half of the prefix", path: "/api", outside: true},
		{name: "a longer first segment", path: "/apis/packages/o/generic/p/1/f", outside: true},
		{name: "the prefix with an escaped slash", path: "/api%2Fpackages/o/generic/p/1/f", outside: true},
		{name: "the prefix alone", path: "/api/packages/", err: errNoRoute},
		{name: "too few segments", path: "/api/packages/o/generic/p", err: errNoRoute},
		{name: "too many segments", path: "/api/packages/o/generic/p/1/f/g", err: errNoRoute},
		{name: "another type", path: "/api/packages/o/npm/p/1/f", err: errNoRoute},
		{name: "the type in another case", path: "/api/packages/o/Generic/p/1/f", err: errNoRoute},
		{name: "a raw dot segment", path: "/api/packages/o/../generic/p/1/f", err: store.ErrUnsafePath},
		{name: "an escaped dot segment", path: "/api/packages/o/generic/p/%2e%2e/f", err: store.ErrUnsafePath},
		{name: "a dot element within a version", path: "/api/packages/o/generic/p/1%2F..%2F2/f", err: store.ErrUnsafePath},
		{name: "a backslash", path: "/api/packages/o/generic/p/1%5C2/f", err: store.ErrUnsafePath},
		{name: "a control character", path: "/api/packages/o/generic/p/1%00/f", err: store.ErrUnsafePath},
		{name: "a C1 control character", path: "/api/packages/o/generic/p/1%C2%85/f", err: store.ErrUnsafePath},
		{name: "bytes that are not UTF-8", path: "/api/packages/o/generic/p/%ff/f", err: store.ErrUnsafePath},
		{name: "a bad escape", path: "/api/packages/o/generic/p/%zz/f", err: store.ErrUnsafePath},
		{name: "an owner of white space", path: "/api/packages/%20o/generic/p/1/f", err: store.ErrInvalidOwner},
		{name: "an owner with a slash", path: "/api/packages/a%2Fb/generic/p/1/f", err: store.ErrInvalidOwner},
		{name: "an owner that is too long", path: "/api/packages/" + strings.Repeat("o", 256) + "/generic/p/1/f", err: store.ErrInvalidOwner},
	} {
		t.Run(test.name, func(t *testing.T) {
			below, inside := visit.ParsePath(test.path).Under(prefix)
			if inside == test.outside {
				t.Fatalf("inside: %v", inside)
			}
			if !inside {
				return
			}
			got, err := ParseRoute(below)
			if !errors.Is(err, test.err) {
				t.Fatalf("error is %v, want %v", err, test.err)
			}
			if err == nil && got != test.want {
				t.Errorf("ref is %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	for _, test := range []struct {
		ref     store.Ref
		allowed string
	}{
		{refOf("o", "p", "1", "f"), "DELETE, GET, HEAD, PUT"},
		{refOf("o", "p", "1", ""), "DELETE"},
	} {
		for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodOptions, "get", ""} {
			want := slices.Contains(strings.Split(test.allowed, ", "), method)
			err := new(Files).checkMethod(&http.Request{Method: method, URL: new(url.URL)}, test.ref)
			if (err == nil) != want {
				t.Errorf("%q on file %q: %v, want allowed %v", method, test.ref.File, err, want)
			}
			var refused *visit.Refusal
			if err != nil && (!errors.As(err, &refused) || refused.Header.Get("Allow") != test.allowed) {
				t.Errorf("%q on file %q: Allow is %q, want %q", method, test.ref.File, refused.Header.Get("Allow"), test.allowed)
			}
		}
	}
}

func refOf(owner, pkg, version, file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: owner, Package: pkg, Version: version}, File: file}
}

// FuzzRoute: a path that is accepted names an owner that a guard on the cleaned
// path sees too, and no element that cleaning would take away.
func FuzzRoute(f *testing.F) {
	for _, seed := range []string{
		"/api/packages/o/generic/p/1/f", "/api/packages/o/../x/generic/p/1/f", "/api/packages/o/generic/p/1%2F..%2Fx/f",
		"/api/packages/%2e%2e/generic/p/1/f", "//api/packages//o/generic/p/%252e%252e/f/", "/api/packages/a%5Cb/generic/p/1/f",
		"/api/packages/o/generic/p/1%2f%2e/f", "/api/packages/\u00e9/generic/p/1/f",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		below, inside := visit.ParsePath(path).Under([]string{"api", "packages"})
		if !inside {
			return
		}
		ref, err := ParseRoute(below)
		if err != nil {
			return
		}
		if naming.CheckOwner(ref.Owner) != nil {
			t.Fatalf("owner %q", ref.Owner)
		}
		for _, name := range []string{ref.Owner, ref.Package, ref.Version, ref.File} {
			if naming.CheckElement(name) != nil {
				t.Fatalf("name %q", name)
			}
		}
		unescaped, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("accepted with a bad escape: %q", path)
		}
		segments := strings.FieldsFunc(unescaped, func(r rune) bool { return r == '/' })
		segments = slices.DeleteFunc(segments, func(segment string) bool { return segment == "." })
		if len(segments) < 3 || segments[2] != ref.Owner {
			t.Fatalf("a guard sees %q, the registry owner %q", segments, ref.Owner)
		}
	})
}
