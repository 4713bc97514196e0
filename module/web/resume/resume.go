package resume

import (
	"net/http"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// worthwhile is the size from which a whole file that comes in one request can be resumed.
// A smaller one is sent again sooner than asked about.
const worthwhile = 1 << 20

// Resume is the wing of resumable uploads.
type Resume struct {
	// Files publishes what comes in one request, and knows which names are allowed.
	Files *files.Files
	// Off says that no upload can be resumed.
	Off bool
	// MaxAppend is how many bytes one request may append. Zero is no limit.
	MaxAppend int64
	// Age is for how long an upload may go on.
	Age time.Duration
	// Most is how many uploads that are not finished there may be at once, UserMost how
	// many of them may be of one user.
	Most, UserMost int
}

// Wants tells whether a request is this wing's: one to an upload, one that begins an
// upload, or one that asks whether it could.
func (f *Resume) Wants(r *http.Request) bool {
	if _, is := uploadID(r); is {
		switch r.Method {
		case http.MethodPatch, http.MethodDelete: // without uploads too: a DELETE would delete the file
			return true
		case http.MethodHead, http.MethodPut, http.MethodPost:
			return !f.Off
		}
		return false
	}
	if f.Off || interopOf(r) == 0 {
		return false
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		_, said := booleanField(r.Header, fieldComplete)
		return said
	}
	return r.Method == http.MethodOptions
}

// Serve implements visit.Wing.
func (f *Resume) Serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) (err error) {
	v.Form = problem(nil)
	if v.About, err = files.ParseRoute(v.Path); err != nil {
		return err
	}
	id, isUpload := uploadID(r)
	if f.Off && isUpload {
		return errNoUpload
	}
	if v.About.File == "" {
		return visit.MethodNotAllowed("DELETE")
	}
	switch {
	case !isUpload && r.Method == http.MethodOptions:
		return f.options(w, r, v)
	case !isUpload:
		return f.begin(w, r, v)
	}
	switch r.Method {
	case http.MethodHead:
		return f.tell(w, r, v, id)
	case http.MethodPatch:
		return f.append(w, r, v, id)
	case http.MethodDelete:
		return f.cancel(w, r, v, id)
	}
	return visit.MethodNotAllowed("DELETE, HEAD, PATCH")
}

// mayWrite is visit.May for a request that changes nothing, and is not to be in the audit
// log: only who may publish the file has to do with its uploads.
func mayWrite(v *visit.Visit) error {
	if v.Can(grant.Write, v.About.Owner, v.About.Package) {
		return nil
	}
	return v.May(grant.Write, v.About.Owner, v.About.Package)
}

// options tells the limits, before anything is sent.
func (f *Resume) options(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := mayWrite(v); err != nil {
		return err
	}
	header := w.Header()
	f.setLimits(r, header, f.Age)
	header.Set(fieldInterop, r.Header.Get(fieldInterop))
	header.Set("Accept-Patch", partialUpload)
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tell answers where an upload stands.
func (f *Resume) tell(w http.ResponseWriter, r *http.Request, v *visit.Visit, id store.SessionID) error {
	if err := mayWrite(v); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) error {
		found, err := reg.FindUpload(r.Context(), v.About, id, v.User())
		if err != nil {
			return f.refuse(r, v, found, err)
		}
		header := w.Header()
		f.stand(r, header, found, reg.Now())
		if found.Length >= 0 {
			setInteger(header, fieldLength, found.Length)
		}
		header.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// cancel gives an upload up.
func (f *Resume) cancel(w http.ResponseWriter, r *http.Request, v *visit.Visit, id store.SessionID) error {
	if err := v.May(grant.Write, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	err := v.Use(func(reg *registry.Registry) error {
		return f.refuse(r, v, registry.Upload{}, reg.CancelUpload(r.Context(), v.About, id, v.User()))
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// stand says where an upload stands.
func (f *Resume) stand(r *http.Request, header http.Header, upload registry.Upload, now time.Time) {
	setInteger(header, fieldOffset, upload.Offset)
	setBoolean(header, fieldComplete, upload.File != nil)
	f.setLimits(r, header, upload.Expires.Sub(now))
}
