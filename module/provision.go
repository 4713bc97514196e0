package module

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/files"
	"github.com/generic-registry/caddy-generic-registry/module/web/receive"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// provisionSettings fills in defaults and compiles what requests need.
func (h *Handler) provisionSettings() error {
	for _, provision := range []func() error{
		h.provisionPlace, h.provisionHealth, h.provisionUploads, h.provisionSite,
		h.provisionDownloads, h.provisionResume, h.provisionAPI, h.provisionBrowse, h.provisionAnswers,
	} {
		if err := provision(); err != nil {
			return err
		}
	}
	return h.provisionAccess()
}

// provisionPlace resolves the root and the prefix.
func (h *Handler) provisionPlace() (err error) {
	configured := caddy.NewReplacer().ReplaceKnown(h.Root, "")
	if h.Root, err = pool.ResolveRoot(h.Root); err != nil {
		return err
	}
	if configured != "" && !filepath.IsAbs(configured) {
		h.log.Warn("the root is relative to the working directory, which is / under systemd: write an absolute path", zap.String("root", configured), zap.String("now", h.Root))
	}
	if h.Prefix, err = caddy.NewReplacer().ReplaceOrErr(h.Prefix, true, true); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if h.Prefix == "" {
		h.Prefix = DefaultPrefix
	}
	h.site.Prefix, err = visit.ParsePrefix("prefix", h.Prefix)
	return err
}

// provisionUploads checks the names and the limits of what is published, and the scrub's rate.
func (h *Handler) provisionUploads() error {
	if h.FileNames == "" {
		h.FileNames = defaultFileNames
	}
	if h.FileNames != naming.Documented && h.FileNames != naming.Gitea {
		return fmt.Errorf("file_names is %q: write %s or %s", h.FileNames, naming.Documented, naming.Gitea)
	}
	if h.MaxFileSize < 0 {
		return fmt.Errorf("max_file_size is %d: write a number of bytes, or leave it out for no limit", h.MaxFileSize)
	}
	if h.MaxUploads < 0 || h.MaxUserUploads < 0 || h.UploadStallTimeout < 0 {
		return errors.New("max_uploads, max_user_uploads and upload_stall_timeout must be above zero, or be left out")
	}
	switch {
	case h.UploadLeastRate == 0:
		h.UploadLeastRate = receive.DefaultLeastRate
	case h.UploadLeastRate < receive.RateOff:
		return fmt.Errorf("upload_least_rate is %d: write a number of bytes per second, or %d to end no upload", h.UploadLeastRate, receive.RateOff)
	}
	if h.MaxUploads > 0 && h.MaxUserUploads == 0 {
		h.log.Warn("max_uploads without max_user_uploads: one user can keep all others from publishing; write max_user_uploads too", zap.Int("max_uploads", h.MaxUploads))
	}
	if h.ScrubRate < scrubOff {
		return fmt.Errorf("scrub_rate is %d: write a number of bytes per second, or %d to turn the scrub off", h.ScrubRate, scrubOff)
	}
	return nil
}

// provisionSite sets what every request of the site has, and the package API.
func (h *Handler) provisionSite() error {
	h.site.CrossSite = http.NewCrossOriginProtection()
	h.site.Uploads, h.site.UserUploads = h.MaxUploads, h.MaxUserUploads
	h.site.Use = h.use
	h.site.Traffic = visit.TrafficOf(h.Root)
	h.files = files.Files{
		Names:       h.FileNames,
		Upload:      receive.Limits{FileSize: h.MaxFileSize, StallTimeout: time.Duration(h.UploadStallTimeout), LeastRate: h.UploadLeastRate},
		VerifyReads: h.VerifyReads,
		Archives:    !h.ArchiveOff,
	}
	return nil
}

// provisionAnswers checks who answers errors, and what caches may keep.
func (h *Handler) provisionAnswers() error {
	if h.Errors != "" && h.Errors != ErrorsRoute {
		return fmt.Errorf("errors is %q: write %s, or leave it out", h.Errors, ErrorsRoute)
	}
	h.site.RouteErrors = h.Errors == ErrorsRoute
	if h.Cache == nil {
		return nil
	}
	if err := h.Cache.provision(); err != nil {
		return err
	}
	h.files.Cache = h.Cache.header()
	return nil
}

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
