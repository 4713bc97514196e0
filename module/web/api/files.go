package api

import (
	"context"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/hashing"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// listFiles answers with all files of a version, whose memory is one page of them.
func listFiles(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	if err := v.May(grant.Read, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return v.Use(func(reg *registry.Registry) error {
		files := store.FileQuery{VersionRef: v.About.VersionRef, Limit: store.MaxPage}
		first, err := reg.Files(r.Context(), files)
		if err != nil {
			return err
		}
		setHeader(w.Header())
		out, hashes := &stream{w: w}, &patience{left: hashing.AtOnce}
		err = eachFile(r.Context(), reg, first, false, func(file store.File) error {
			file.Hashes = hashes.of(r.Context(), reg, file)
			return out.add(fileOf(file))
		})
		if err != nil {
			return out.failed(err)
		}
		out.end()
		return nil
	})
}

// patience is for how many bytes one answer waits until they are read for their hashes.
type patience struct{ left int64 }

// hashingCost is what a file counts for at least, so that very many small ones do not make
// an answer wait for ever.
const hashingCost = 64 << 10

// of returns the hashes of a file besides its digest. They are empty where they are not known
// yet, and known at a later request.
func (p *patience) of(ctx context.Context, reg *registry.Registry, file store.File) store.Hashes {
	if file.Hashes.IsKnown() {
		return file.Hashes
	}
	if p.left -= max(file.Size, hashingCost); p.left < 0 {
		reg.AskHashes(file)
		return ""
	}
	hashes, err := reg.Hashes(ctx, file)
	if err != nil {
		// Nobody knows how long: the others are not waited for either. Damaged bytes have none.
		p.left = 0
		return ""
	}
	return hashes
}

// eachFile calls a function with each file of a version, or of a draft, of which it has the
// first page.
// store.ErrPackageNotFound when the version was deleted meanwhile, or is another one.
func eachFile(ctx context.Context, reg *registry.Registry, page store.FilePage, draft bool, do func(store.File) error) error {
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
		page, err = reg.Files(ctx, store.FileQuery{VersionRef: page.Version.VersionRef, Draft: draft, After: page.Next, Limit: store.MaxPage})
		if err != nil {
			return err
		}
		if page.Version.ID != id {
			return store.ErrPackageNotFound
		}
	}
}
