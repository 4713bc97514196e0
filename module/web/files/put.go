package files

import (
	"errors"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/send"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// put publishes a request's body. What can be refused without reading it is.
func (f *Files) put(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(grant.Write, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	if err := f.CheckNames(v.About); err != nil {
		return err
	}
	draft, err := f.AsksForDraft(r)
	if err != nil {
		return err
	}
	said, err := receive.Declared(r)
	if err != nil {
		return err
	}
	p := &publish{Files: f, w: w, r: r, v: v, said: said, limits: f.LimitsOf(v, draft)}
	var unread bool
	err = v.Use(func(reg *registry.Registry) (err error) {
		p.reg = reg
		unread, err = p.publish()
		return err
	})
	if err != nil {
		return err
	}
	if draft {
		v.Untold()
		SayDraft(w.Header())
	}
	if unread {
		visit.AnswerUnread(w, r, http.StatusCreated)
		return nil
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

// publish is a PUT of a file, with what it declares.
type publish struct {
	*Files
	w      http.ResponseWriter
	r      *http.Request
	v      *visit.Visit
	reg    *registry.Registry
	said   receive.Declaration
	limits registry.Limits
}

// publish publishes the body, unless that need not be read.
func (p *publish) publish() (unread bool, err error) {
	claim := p.said.Claim(p.r)
	existing, err := CheckDuplicate(p.r, p.reg, p.v, p.limits, claim)
	if err != nil {
		return false, err
	}
	p.limits.Current = Current(p.r, existing)
	if unread, err = isThere(p.r, p.reg, existing, p.limits, claim); err != nil {
		return false, err
	}
	file := existing
	if !unread {
		file, err = p.receive()
	}
	if err != nil {
		return false, err
	}
	p.v.Published(*file, existing)
	send.SetValidators(p.w.Header(), file.Digest)
	return unread, nil
}

func (p *publish) receive() (*store.File, error) {
	content, done, err := p.Upload.Content(p.w, p.r, p.said)
	defer done()
	if err != nil {
		return nil, err
	}
	file, err := p.reg.Publish(p.r.Context(), p.v.About, p.v.User(), content, p.limits)
	if errors.Is(err, store.ErrDigest) {
		return nil, errors.Join(receive.Mismatch(p.r.Header), err)
	}
	if err != nil {
		return nil, TellDuplicate(p.v, err)
	}
	return &file, nil
}

// CheckNames judges the names of a file that is to be published, and says which rule they
// break: store.ErrInvalidPackage, ErrInvalidVersion, ErrInvalidFile.
func (f *Files) CheckNames(ref store.Ref) error {
	err := naming.Check(ref, f.Names)
	switch {
	case errors.Is(err, store.ErrInvalidPackage):
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_, not one of these characters alone", err, naming.MaxLength)
	case errors.Is(err, store.ErrInvalidVersion):
		return visit.Tell(err, "%v: at most %d bytes, no white space at either end", err, naming.MaxLength)
	case errors.Is(err, store.ErrInvalidFile) && f.Names == naming.Gitea:
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_=:;()[]{}~!@#$%%^&, spaces not at either end", err, naming.MaxLength)
	case errors.Is(err, store.ErrInvalidFile):
		return visit.Tell(err, "%v: at most %d letters, digits and .-+_; file_names gitea allows more", err, naming.MaxLength)
	}
	return err
}
