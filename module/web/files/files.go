package files

import (
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Files is the wing of the package API.
type Files struct {
	// Names are the file names that may be published.
	Names store.FileNames
	// Upload bounds what is received of one file.
	Upload receive.Limits
	// VerifyReads has downloads compared with their digest as they are sent.
	VerifyReads bool
	// Checksums are computed beside the files.
	Checksums Checksums
	// Select is what may stand in place of a version in the path of a download.
	Select Selectors
	// Archives tells whether versions can be downloaded whole.
	Archives bool
}

// Serve implements visit.Wing.
func (f *Files) Serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	var err error
	if v.About, err = ParseRoute(v.Path); err != nil {
		return err
	}
	if err := f.checkMethod(r, v.About); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return f.put(w, r, v)
	case http.MethodDelete:
		return remove(w, r, v)
	}
	return f.get(w, r, v)
}

// Has tells whether a path is a file's or a version's.
func (f *Files) Has(path visit.Path) bool {
	_, err := ParseRoute(path)
	return err == nil
}

// remove deletes a file or, when the path names none, a version.
func remove(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(store.ActionDelete, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	err := v.Use(func(reg *registry.Registry) error {
		if v.About.File == "" {
			return reg.DeleteVersion(r.Context(), v.About.VersionRef, v.User())
		}
		return reg.DeleteFile(r.Context(), v.About, v.User())
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
