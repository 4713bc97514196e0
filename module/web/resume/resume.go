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
	e := &exchange{f, w, r, v}
	switch {
	case !isUpload && r.Method == http.MethodOptions:
		return e.options()
	case !isUpload:
		return e.begin()
	}
	switch r.Method {
	case http.MethodHead:
		return e.tell(id)
	case http.MethodPatch:
		return e.append(id)
	case http.MethodDelete:
		return e.cancel(id)
	}
	return visit.MethodNotAllowed("DELETE, HEAD, PATCH")
}

// exchange is one request about an upload, and its answer.
type exchange struct {
	*Resume
	w http.ResponseWriter
	r *http.Request
	v *visit.Visit
}

// mayWrite is visit.May for a request that changes nothing, and is not to be in the audit
// log: only who may publish the file has to do with its uploads.
func (e *exchange) mayWrite() error {
	if e.v.Can(grant.Write, e.v.About.Owner, e.v.About.Package) {
		return nil
	}
	return e.v.May(grant.Write, e.v.About.Owner, e.v.About.Package)
}

// options tells the limits, before anything is sent.
func (e *exchange) options() error {
	if err := e.mayWrite(); err != nil {
		return err
	}
	header := e.w.Header()
	e.setLimits(header, e.Age)
	header.Set(fieldInterop, e.r.Header.Get(fieldInterop))
	header.Set("Accept-Patch", partialUpload)
	header.Set("Cache-Control", "no-store")
	e.w.WriteHeader(http.StatusNoContent)
	return nil
}

// tell answers where an upload stands.
func (e *exchange) tell(id store.SessionID) error {
	if err := e.mayWrite(); err != nil {
		return err
	}
	return e.v.Use(func(reg *registry.Registry) error {
		found, err := reg.FindUpload(e.r.Context(), e.v.About, id, e.v.User())
		if err != nil {
			return e.refuse(found, err)
		}
		header := e.w.Header()
		e.stand(found, reg.Now())
		if found.Length >= 0 {
			setInteger(header, fieldLength, found.Length)
		}
		header.Set("Cache-Control", "no-store")
		e.w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// cancel gives an upload up.
func (e *exchange) cancel(id store.SessionID) error {
	if err := e.v.May(grant.Write, e.v.About.Owner, e.v.About.Package); err != nil {
		return err
	}
	if err := e.checkConditions(); err != nil {
		return err
	}
	err := e.v.Use(func(reg *registry.Registry) error {
		return e.refuse(registry.Upload{}, reg.CancelUpload(e.r.Context(), e.v.About, id, e.v.User()))
	})
	if err != nil {
		return err
	}
	e.w.WriteHeader(http.StatusNoContent)
	return nil
}

// stand says where an upload stands.
func (e *exchange) stand(upload registry.Upload, now time.Time) {
	header := e.w.Header()
	setInteger(header, fieldOffset, upload.Offset)
	setBoolean(header, fieldComplete, upload.File != nil)
	e.setLimits(header, upload.Expires.Sub(now))
}
