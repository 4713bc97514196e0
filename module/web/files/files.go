package files

import (
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Files is the wing of the package API.
type Files struct {
	// Names are the file names that may be published.
	Names naming.FileNames
	// Upload bounds what is received of one file.
	Upload receive.Limits
	// VerifyReads has downloads compared with their digest as they are sent.
	VerifyReads bool
	// Checksums are computed beside the files.
	Checksums Checksums
	// Select is what may stand in place of a version in the path of a download.
	Select Selectors
	// Drafts say whether and how files are published into drafts.
	Drafts Drafts
	// Cache is the Cache-Control of files that anyone may read, at their own paths. Empty is
	// that of all files.
	Cache string
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
	case http.MethodPost:
		return f.publishDraft(w, r, v)
	case http.MethodDelete:
		return f.remove(w, r, v)
	}
	return f.get(w, r, v)
}

// Has tells whether a path is a file's or a version's.
func (f *Files) Has(path visit.Path) bool {
	_, err := ParseRoute(path)
	return err == nil
}

// remove deletes a file or, when the path names none, a version. Drafts are deleted by those
// who may write, and are nothing to others.
func (f *Files) remove(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	mayWrite := v.May(grant.Write, v.About.Owner, v.About.Package)
	mayDelete := v.May(grant.Delete, v.About.Owner, v.About.Package)
	if mayDelete != nil && (mayWrite != nil || f.Drafts.Off) {
		return mayDelete
	}
	err := v.Use(func(reg *registry.Registry) error {
		isDraft, err := f.isDraft(r, v, reg)
		switch {
		case err != nil:
			return err
		case isDraft && mayWrite != nil:
			return store.ErrPackageNotFound
		case !isDraft && mayDelete != nil:
			return mayDelete
		}
		// Each deletes nothing when the version has the other state by now.
		deleteFile, deleteVersion := reg.DeleteFile, reg.DeleteVersion
		if isDraft {
			v.Untold()
			deleteFile, deleteVersion = reg.DeleteDraftFile, reg.DeleteDraft
		}
		if v.About.File == "" {
			return deleteVersion(r.Context(), v.About.VersionRef, v.User())
		}
		return deleteFile(r.Context(), v.About, v.User())
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// isDraft tells whether the version of a visit is a draft.
func (f *Files) isDraft(r *http.Request, v *visit.Visit, reg *registry.Registry) (bool, error) {
	_, err := reg.Files(r.Context(), store.FileQuery{VersionRef: v.About.VersionRef, Draft: true, Limit: 1})
	if errors.Is(err, store.ErrPackageNotFound) {
		return false, nil
	}
	return err == nil, err
}
