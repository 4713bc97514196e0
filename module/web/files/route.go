package files

import (
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

var (
	// errNoRoute: a path under the prefix that names neither a file nor a version.
	errNoRoute = visit.Refuse(http.StatusNotFound, "not found: a file is at {owner}/generic/{package}/{version}/{file} under the prefix")

	// errSlash: a path that names a folder. Guards in front that compare whole paths see
	// another one than without the slash.
	errSlash = visit.Refuse(http.StatusNotFound, "not found: leave the slash at the end of the path out")
)

// ParseRoute reads the path of a request below the prefix: of a file, or of a version, which
// has no file. Its errors are store.ErrUnsafePath, store.ErrInvalidOwner, errSlash and
// errNoRoute. Other names are judged when they are published.
func ParseRoute(path visit.Path) (ref store.Ref, err error) {
	segments, err := path.Segments()
	if err != nil {
		return store.Ref{}, err
	}
	if len(segments) < 4 || len(segments) > 5 || segments[1] != visit.PackageType {
		return store.Ref{}, errNoRoute
	}
	ref.Owner, ref.Package, ref.Version = segments[0], segments[2], segments[3]
	if len(segments) == 5 {
		ref.File = segments[4]
	}
	if err := naming.CheckOwner(ref.Owner); err != nil {
		return ref, err
	}
	if path.IsFolder() {
		return ref, errSlash
	}
	return ref, nil
}

// archiveWord is the word of the query that asks for a version as an archive.
const archiveWord = "archive"

// checkMethod refuses a method that the path of a file, or of a version, does not answer.
func (f *Files) checkMethod(r *http.Request, ref store.Ref) error {
	switch r.Method {
	case http.MethodDelete:
		return nil
	case http.MethodGet, http.MethodHead:
		if ref.File != "" || f.Archives && r.URL.Query().Has(archiveWord) {
			return nil
		}
	case http.MethodPut:
		if ref.File != "" {
			return nil
		}
	case http.MethodPost:
		if ref.File == "" && r.URL.Query().Has(publishWord) {
			return nil
		}
	}
	if ref.File != "" {
		return visit.MethodNotAllowed("DELETE, GET, HEAD, PUT")
	}
	err := visit.MethodNotAllowed("DELETE")
	return visit.Tell(err, "%v: this is the path of a version; write the name of a file after it", err)
}
