package module

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
)

// provisionAPI makes the JSON API, which tells what downloads and uploads take.
func (h *Handler) provisionAPI() (err error) {
	if h.API, err = caddy.NewReplacer().ReplaceOrErr(h.API, true, true); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	path, err := api.CheckPath(h.API, h.Prefix)
	if err != nil {
		return err
	}
	if h.Releases && path == nil {
		return api.ErrReleases
	}
	h.api = api.New(h.site.Prefix, path, api.Options{
		Releases: h.Releases, Drafts: !h.files.Drafts.Off, Resumable: !h.resume.Off, Archives: h.files.Archives,
		Selects: !slices.Equal(h.Select, files.Selectors{files.SelectOff}), Sums: h.files.Checksums.Sums, Hashes: h.files.Checksums.Hashes,
	})
	return CheckHealth(h.Health, h.Prefix, path, h.Releases)
}

// CheckHealth reports a health path whose paths are under the prefix, or are those of the JSON
// API, which is under a path of its own. An empty health path has none.
func CheckHealth(path, prefix string, apiPath []string, releases bool) error {
	if path == "" {
		return nil
	}
	probes, err := health.NewProbes(path, prefix)
	if err != nil {
		return err
	}
	if probes.Meet(api.New(nil, apiPath, api.Options{Releases: releases}).Meets) {
		return fmt.Errorf("health is %q: its paths are those of the JSON API; write one beside it", path)
	}
	return nil
}
