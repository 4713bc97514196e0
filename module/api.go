package module

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// APIOff in place of the path of the JSON API turns it off.
const APIOff = "off"

// provisionAPI makes the JSON API, which tells what downloads and uploads take.
func (h *Handler) provisionAPI() (err error) {
	if h.API, err = caddy.NewReplacer().ReplaceOrErr(h.API, true, true); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	path, err := CheckAPI(h.API, h.Prefix)
	if err != nil {
		return err
	}
	if h.Releases && path == nil {
		return ErrReleases
	}
	h.api = api.New(h.site.Prefix, path, api.Options{
		Releases: h.Releases, Drafts: !h.files.Drafts.Off, Resumable: !h.resume.Off, Archives: h.files.Archives,
		Selects: !slices.Equal(h.Select, files.Selectors{files.SelectOff}), Sums: h.files.Checksums.Sums, Hashes: h.files.Checksums.Hashes,
	})
	if h.probes.Meet(h.api.Meets) {
		return fmt.Errorf("health is %q: its paths are those of the JSON API; write one beside it", h.Health)
	}
	return nil
}

// ErrReleases: releases are wanted and there is no JSON API.
var ErrReleases = errors.New("releases are a part of the JSON API, which this site does not have: write api /api/v1, or another path")

// CheckAPI returns the segments of the path of the JSON API, nil when there is none. A path
// that meets the prefix, or that is none, is an error.
func CheckAPI(path, prefix string) ([]string, error) {
	top, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	switch path {
	case APIOff:
		return nil, nil
	case "":
		return api.DefaultPath(top), nil
	}
	found, err := visit.ParsePrefix("api", path)
	if err != nil {
		return nil, err
	}
	if api.New(top, found, api.Options{Releases: true}).Meets(top) {
		return nil, fmt.Errorf("api is %q: its paths and those under the prefix %q are the same; write a path outside of the prefix", path, prefix)
	}
	return found, nil
}
