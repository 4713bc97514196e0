package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/versions"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// shownReleases shows each package as a repository, and each of its versions as a release.
type shownReleases struct {
	prefix, path []string
	options      *Options
}

// serve answers {owner}/{package}/releases and what is below.
func (s *shownReleases) serve(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	segments, err := v.Segments()
	if err != nil {
		return err
	}
	if err := about(v, segments, 1); err != nil {
		return err
	}
	v.About.Version = ""
	get := s.methodsOf(segments, v)
	serve, err := get.choose(r.Method)
	if err != nil {
		return err
	}
	if err := v.May(grant.Read, v.About.Owner, v.About.Package); err != nil {
		return err
	}
	return serve(w, r, v)
}

func (s *shownReleases) methodsOf(segments []string, v *visit.Visit) methods {
	if len(segments) < 3 || segments[2] != "releases" {
		return nil
	}
	switch {
	case len(segments) == 3:
		return methods{http.MethodGet: s.list}
	case len(segments) == 4 && segments[3] == "latest":
		return methods{http.MethodGet: s.latest}
	case len(segments) == 5 && segments[3] == "tags":
		v.About.Version = segments[4]
		return methods{http.MethodGet: s.tag}
	}
	return nil
}

// latest answers with the version that latest stands for in the path of a file.
func (s *shownReleases) latest(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return v.Use(func(reg *registry.Registry) error {
		ref := v.About.VersionRef
		ref.Version = "latest"
		found, err := reg.Resolve(r.Context(), ref)
		if err != nil {
			return err
		}
		return s.answer(w, r, v, reg, store.FileQuery{VersionRef: found.VersionRef, Limit: store.MaxPage})
	})
}

// tag answers with a version. Writers of the package get drafts too.
func (s *shownReleases) tag(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	return v.Use(func(reg *registry.Registry) error {
		query := store.FileQuery{VersionRef: v.About.VersionRef, Limit: store.MaxPage}
		err := s.answer(w, r, v, reg, query)
		if errors.Is(err, store.ErrPackageNotFound) && v.Can(grant.Write, v.About.Owner, v.About.Package) {
			query.Draft = true
			err = s.answer(w, r, v, reg, query)
		}
		return err
	})
}

// answer answers with the version of which the first page of files is asked for.
func (s *shownReleases) answer(w http.ResponseWriter, r *http.Request, v *visit.Visit, reg *registry.Registry, query store.FileQuery) error {
	files, err := reg.Files(r.Context(), query)
	if err != nil {
		return err
	}
	out := s.writer(w, v, reg)
	if err := out.write(r.Context(), files, query.Draft); err != nil {
		return out.failed(err)
	}
	out.finish()
	return nil
}

// list answers with a page of versions, the newest first.
func (s *shownReleases) list(w http.ResponseWriter, r *http.Request, v *visit.Visit) error {
	query := r.URL.Query()
	p := pageOf(query, "draft", "pre-release", "limit", "page")
	return v.Use(func(reg *registry.Registry) error {
		found, err := releasesOf(r.Context(), reg, v, query, p)
		if err != nil {
			return err
		}
		p.setTotal(w.Header(), r, v, found.Total)
		out := s.writer(w, v, reg)
		for _, info := range found.Versions {
			files, err := reg.Files(r.Context(), store.FileQuery{VersionRef: info.VersionRef, Limit: store.MaxPage})
			if errors.Is(err, store.ErrPackageNotFound) {
				continue // it was deleted just now
			}
			if err == nil {
				out.next()
				err = out.write(r.Context(), files, false)
			}
			if err != nil {
				return out.failed(err)
			}
		}
		out.end()
		return nil
	})
}

// releasesOf finds the page of versions that a query asks for. A package that has none does
// not exist.
func releasesOf(ctx context.Context, reg *registry.Registry, v *visit.Visit, query url.Values, p page) (store.VersionPage, error) {
	all := store.VersionQuery{Owner: v.About.Owner, Package: v.About.Package, Skip: p.skip(), Limit: p.limit, Total: true}
	found, err := reg.Versions(ctx, all)
	if err != nil {
		return store.VersionPage{}, err
	}
	if found.Total == 0 {
		return store.VersionPage{}, store.ErrPackageNotFound
	}
	if drafts, err := strconv.ParseBool(query.Get("draft")); err == nil && drafts {
		return store.VersionPage{}, nil // drafts are not shown here, to nobody
	}
	pre, err := strconv.ParseBool(query.Get("pre-release"))
	if err != nil {
		return found, nil
	}
	return filtered(ctx, reg, all, p, func(info store.VersionInfo) bool { return versions.IsPreRelease(info.Rank) == pre })
}

// filtered looks at all versions of a query for those that pass, and keeps those of a page.
func filtered(ctx context.Context, reg *registry.Registry, query store.VersionQuery, p page, pass func(store.VersionInfo) bool) (kept store.VersionPage, err error) {
	query.Skip, query.Limit, query.Total = 0, store.MaxPage, false
	for skip := p.skip(); ; {
		found, err := reg.Versions(ctx, query)
		if err != nil {
			return store.VersionPage{}, err
		}
		for _, info := range found.Versions {
			if !pass(info) {
				continue
			}
			if kept.Total >= skip && len(kept.Versions) < p.limit {
				kept.Versions = append(kept.Versions, info)
			}
			kept.Total++
		}
		if query.After = found.Next; found.Next == "" {
			return kept, nil
		}
	}
}
