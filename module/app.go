package module

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/access"
	"github.com/generic-registry/caddy-generic-registry/module/operate/metrics"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry/webhook"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

func init() { caddy.RegisterModule(&App{}) }

// AppID is the name of the app in Caddy's configuration.
const AppID = "generic_registry"

// startWait bounds how long Start waits for the stores: for those that a previous
// configuration is closing, and for its own to open. After that both go on in the
// background. Tests have less.
var startWait = 10 * time.Second

// App opens the stores of a configuration's registries when it starts, and closes
// those that no configuration and no request uses any more. Handlers bring it in
// by themselves; it has no settings.
type App struct {
	ctx   caddy.Context
	log   *zap.Logger
	slog  *slog.Logger // the same, for stores
	audit *zap.Logger

	mu       sync.Mutex
	uses     map[pool.Key]*use
	returned bool       // the uses were given back
	expected []string   // roots whose tokens authenticators accept
	handlers []*Handler // of the configuration
}

// use is this configuration's use of one store.
type use struct {
	lease    *pool.Lease
	config   *pool.Config
	settings []byte
	rules    []string // digests of those of the handlers
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: AppID, New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log, a.slog = ctx, ctx.Logger(), ctx.Slogger()
	a.audit = auditLogger(ctx)
	a.uses = make(map[pool.Key]*use)
	return metrics.Register(ctx.GetMetricsRegistry())
}

// errContradiction: within one configuration, two handlers give one store
// different settings.
var errContradiction = errors.New("two handlers give the same store different settings")

// use takes a reference to the store that two guest modules make, for the life of
// the configuration. It opens nothing. Handlers are provisioned one after another.
// The rate is registry.Options'.
func (a *App) use(root string, metadata, blobs caddy.Module, scrubRate int64) (pool.Key, error) {
	metadataBackend, ok := metadata.(store.MetadataBackend)
	if !ok {
		return pool.Key{}, fmt.Errorf("%s is not a metadata backend", metadata.CaddyModule().ID)
	}
	blobBackend, ok := blobs.(store.BlobBackend)
	if !ok {
		return pool.Key{}, fmt.Errorf("%s is not a blob backend", blobs.CaddyModule().ID)
	}
	config := &pool.Config{Root: root, Metadata: metadataBackend, Blobs: blobBackend, ScrubRate: scrubRate, Log: a.log, StoreLog: a.slog, Audit: a.audit}
	key := config.Key()
	settings, err := json.Marshal([]any{metadata, blobs, scrubRate})
	if err != nil {
		return pool.Key{}, fmt.Errorf("encoding store settings: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if used := a.uses[key]; used != nil {
		if !bytes.Equal(used.settings, settings) {
			return pool.Key{}, fmt.Errorf("%w (%s): write the same metadata, blobs and scrub for both", errContradiction, key.Metadata)
		}
		return key, nil
	}
	lease, err := pool.Registries.Take(config)
	if err != nil {
		return pool.Key{}, err
	}
	a.uses[key] = &use{lease: lease, config: config, settings: settings}
	return key, nil
}

// serve notes that a handler has a registry, and which hooks are told of its changes.
func (a *App) serve(h *Handler, hooks []webhook.Hook) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handlers = append(a.handlers, h)
	used := a.uses[h.store]
	if used == nil {
		return nil
	}
	used.config.DraftTTL = max(used.config.DraftTTL, time.Duration(h.files.Drafts.TTL))
	used.config.Quotas = withQuotas(used.config.Quotas, h.Owners, h.site.Rules.Quota)
	if used.config.Hooks, err = withHooks(used.config.Hooks, hooks); err != nil {
		return err
	}
	return used.addRules(h.Owners, h.Admins, h.Republishing, h.User, h.Groups)
}

// addRules has the rules of a handler count in the digest that other nodes compare with theirs.
// Handlers come in any order.
func (u *use) addRules(rules ...any) error {
	text, err := json.Marshal(rules)
	if err != nil {
		return fmt.Errorf("encoding rules: %w", err)
	}
	u.rules = append(u.rules, store.Digest(sha256.Sum256(text)).String())
	slices.Sort(u.rules)
	u.config.Rules = store.Digest(sha256.Sum256([]byte(strings.Join(u.rules, "\n")))).String()
	return nil
}

// withQuotas adds the quotas of owners that have a rule of their own, whose number the
// configuration bounds. Of two handlers the first counts.
func withQuotas(quotas map[string]store.Quota, owners []access.OwnerRule, quotaOf func(owner string) store.Quota) map[string]store.Quota {
	for _, rule := range owners {
		quota := quotaOf(rule.Owner)
		if _, known := quotas[rule.Owner]; known || rule.Owner == "*" || quota == (store.Quota{}) {
			continue
		}
		if quotas == nil {
			quotas = make(map[string]store.Quota)
		}
		quotas[rule.Owner] = quota
	}
	return quotas
}

// expect notes that an authenticator accepts the tokens of a root.
func (a *App) expect(root string) { a.expected = append(a.expected, root) }

// find returns the store that the configuration's handlers use for a root.
func (a *App) find(root string) (pool.Key, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []pool.Key
	for key, use := range a.uses {
		if use.config.Root == root {
			found = append(found, key)
		}
	}
	switch len(found) {
	case 0:
		return pool.Key{}, fmt.Errorf("%w: no registry of this configuration has the root %s", pool.ErrNoRegistry, root)
	case 1:
		return found[0], nil
	}
	return pool.Key{}, fmt.Errorf("%w: several registries of this configuration have the root %s, each with stores of its own", pool.ErrNoRegistry, root)
}

// Start opens the stores, or finds them open. A fault of the configuration is an
// error; a store without room or with damage is not, nor is one that takes long to open:
// it answers 503 until it is open, and the rest of Caddy is unaffected.
func (a *App) Start() error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	for _, root := range a.expected {
		if _, err := a.find(root); err != nil {
			return fmt.Errorf("generic_registry_auth: %w; write the root of a generic_registry", err)
		}
	}
	for _, use := range a.uses {
		use.config.TakesTokens = slices.Contains(a.expected, use.config.Root)
		if err := use.lease.Start(ctx); err != nil {
			return fmt.Errorf("generic_registry: %w", err)
		}
	}
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		a.warnOfNeighbours(app.(*caddyhttp.App))
	}
	return nil
}

// Stop does nothing: requests outlive it. Cleanup gives the stores back.
func (a *App) Stop() error { return nil }

// Cleanup implements caddy.CleanerUpper. It gives back what this configuration
// took, however far it came.
func (a *App) Cleanup() error {
	a.mu.Lock()
	returned := a.returned
	a.returned = true
	a.mu.Unlock()
	if returned {
		return nil
	}
	// The map stays: requests that outlive this look their store up in it.
	for _, use := range a.uses {
		use.lease.Return()
	}
	return nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)

// auditLogger is the one logger of the audit, whoever writes to it.
func auditLogger(ctx caddy.Context) *zap.Logger { return ctx.Logger(new(Handler)).Named("audit") }
