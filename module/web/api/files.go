package api

import (
	"context"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// listFiles answers with all files of a version, whose memory is one page of them.
func listFiles(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(store.ActionRead, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) error {
		files := store.FileQuery{VersionRef: v.About.VersionRef, Limit: store.MaxPage}
		first, err := reg.Files(r.Context(), files)
		if err != nil {
			return err
		}
		setHeader(w.Header())
		out := &stream{w: w}
		err = eachFile(r.Context(), reg, first, func(file store.File) error { return out.add(fileOf(file)) })
		if err != nil {
			return out.failed(err)
		}
		out.end()
		return nil
	})
}

// eachFile calls a function with each file of a version, of which it has the first page.
// store.ErrPackageNotFound when the version was deleted meanwhile, or is another one.
func eachFile(ctx context.Context, reg *registry.Registry, page store.FilePage, do func(store.File) error) error {
	for id := page.Version.ID; ; {
		for _, file := range page.Files {
			if err := do(file); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		var err error
		page, err = reg.Files(ctx, store.FileQuery{VersionRef: page.Version.VersionRef, After: page.Next, Limit: store.MaxPage})
		if err != nil {
			return err
		}
		if page.Version.ID != id {
			return store.ErrPackageNotFound
		}
	}
}
