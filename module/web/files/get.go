package files

import (
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// attempts bounds how often a download begins anew because other bytes have taken the
// file's name.
const attempts = 8

// get answers GET and HEAD.
func (f *Files) get(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(store.ActionRead, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) (err error) {
		for range attempts {
			if err = f.send(w, r, v, reg); !errors.Is(err, registry.ErrReplaced) {
				return err
			}
			v.Restart(w)
		}
		return err
	})
}

func (f *Files) send(w http.ResponseWriter, r *http.Request, v *visit.Visit, reg *registry.Registry) error {
	file, err := reg.Find(r.Context(), v.About)
	if err != nil {
		return err
	}
	v.Found(file.File)
	return send.File(w, r, file, f.VerifyReads)
}
