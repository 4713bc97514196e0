// Package admin is the part of Caddy's admin endpoint for registries: tokens, backups,
// verifying, sweeping, health and webhooks. Answers are JSON, or streams.
package admin

import (
	"github.com/caddyserver/caddy/v2"
)

func init() { caddy.RegisterModule(API{}) }

// Paths of the admin endpoint.
const (
	Path       = "/generic_registry"
	TokensPath = "/tokens"
	HealthPath = "/health"
)

// API adds the registries to Caddy's admin endpoint: tokens are made, listed and
// revoked at `/generic_registry/tokens`, `/generic_registry/health` says how each
// registry is, `/generic_registry/backup` gives a backup, `/generic_registry/blob` the bytes of a digest, and
// `/generic_registry/verify` checks what is stored, and `/generic_registry/sweep` deletes
// bytes that no file refers to, and `/generic_registry/webhooks` lists webhooks and their last
// deliveries. With several registries open, the
// query parameter `root` says which one is meant.
//
// Whoever reaches the admin endpoint can make tokens for any user, as they could
// load a configuration that lets anyone in: keep it on localhost, or on a unix
// socket that only administrators may open.
type API struct{}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.generic_registry", New: func() caddy.Module { return new(API) }}
}

// Routes implements caddy.AdminRouter.
func (API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: Path + TokensPath, Handler: answering(serveTokens)},
		{Pattern: Path + BackupPath, Handler: answering(serveBackup)},
		{Pattern: Path + BlobPath, Handler: answering(serveBlob)},
		{Pattern: Path + VerifyPath, Handler: answering(serveVerify)},
		{Pattern: Path + SweepPath, Handler: answering(serveSweep)},
		{Pattern: Path + HealthPath, Handler: answering(serveHealth)},
		{Pattern: Path + WebhooksPath, Handler: answering(serveWebhooks)},
	}
}

var _ caddy.AdminRouter = API{}
