package files

import (
	"net/http"

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
