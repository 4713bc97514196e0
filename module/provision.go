package module

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
)

// provisionDownloads fills in what a GET may find besides the files.
func (h *Handler) provisionDownloads() error {
	if h.Checksums == nil {
		h.Checksums = new(files.Checksums)
	}
	if err := h.Checksums.Provision(); err != nil {
		return fmt.Errorf("checksums: %w", err)
	}
	h.files.Checksums = *h.Checksums
	if h.Drafts == nil {
		h.Drafts = new(files.Drafts)
	}
	if err := h.Drafts.Provision(); err != nil {
		return fmt.Errorf("drafts: %w", err)
	}
	h.files.Drafts = *h.Drafts
	if err := h.Select.Provision(); err != nil {
		return err
	}
	h.files.Select = h.Select
	return nil
}

// use runs a function on the registry.
func (h *Handler) use(ctx context.Context, do func(*registry.Registry) error) error {
	return pool.Registries.Use(ctx, h.store, do)
}

// provisionHealth checks where live and ready answer.
func (h *Handler) provisionHealth() (err error) {
	if h.Health == "" {
		return nil
	}
	if h.Health, err = caddy.NewReplacer().ReplaceOrErr(h.Health, true, true); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	h.probes, err = health.NewProbes(h.Health, h.Prefix)
	return err
}

// scrubOff is the scrub_rate that turns the scrub off.
const scrubOff = -1

func (h *Handler) provisionAccess() (err error) {
	for _, claim := range []struct {
		word string
		from *access.Claim
		key  *string
	}{{"user", h.User, &h.site.UserKey}, {"groups", h.Groups, &h.site.GroupsKey}} {
		if claim.from == nil {
			continue
		}
		if *claim.key, err = access.CheckClaim(*claim.from); err != nil {
			return fmt.Errorf("%s: %w", claim.word, err)
		}
	}
	if h.site.Rules, err = access.Compile(h.Owners, h.Admins, h.Republishing); err != nil {
		return err
	}
	access.LogWarnings(h.log, h.site.Rules.Warnings(h.site.GroupsKey != ""))
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
