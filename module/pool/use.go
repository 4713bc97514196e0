package pool

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// openWait bounds how long a use waits for its registry: Caddy starts apps in any order,
// so a request can come before the registry is open.
const openWait = 30 * time.Second

// NotOpen is the error of a use that did not take place, because the registry is not open.
// It is store.ErrUnavailable and, when that is why, store.ErrNoSpace.
type NotOpen struct{ Why error }

func (n *NotOpen) Error() string { return n.Why.Error() }

func (n *NotOpen) Unwrap() []error { return []error{store.ErrUnavailable, n.Why} }

// Use runs a function on an open registry, which stays open until the function returns.
// The error is that of the function, or a *NotOpen: also when no configuration uses the
// registry any more, and when it is not open within 30 seconds or before ctx ends.
func (p *Pool) Use(ctx context.Context, key Key, do func(*registry.Registry) error) error {
	e := p.join(key)
	if e == nil {
		return &NotOpen{fmt.Errorf("%w: closed by a reload", store.ErrUnavailable)}
	}
	return p.use(ctx, e, do)
}

// use runs a function on the registry of an entry, which it leaves.
func (p *Pool) use(ctx context.Context, e *entry, do func(*registry.Registry) error) error {
	defer p.leave(e)
	reg, err := e.wait(ctx, openWait)
	if err != nil {
		return &NotOpen{err}
	}
	return do(reg)
}

// Opened is an open registry, with what its configuration says of it.
type Opened struct {
	*registry.Registry
	Root        string
	TakesTokens bool        // a site accepts its tokens
	Audit       *zap.Logger // for changes to it
}

// UseRoot is Use of the registry with a root or, with an empty root, of the only one. The
// error can be ErrNoRegistry besides.
func (p *Pool) UseRoot(ctx context.Context, root string, do func(Opened) error) error {
	e, err := p.joinRoot(root)
	if err != nil {
		return err
	}
	return p.use(ctx, e, func(reg *registry.Registry) error {
		return do(Opened{Registry: reg, Root: e.root(), TakesTokens: e.takesTokens(), Audit: e.audit()})
	})
}

// Health is how a registry of the pool is.
type Health struct {
	Key  Key
	Root string
	registry.Health
	Quotas map[string]store.Quota // as in Config, of the configuration that started last
	Fault  error                  // why it is not open, or nil
}

// Health tells how the registries with a root are, or all with an empty one, in the order
// of their roots. It waits for nothing.
func (p *Pool) Health(root string) (all []Health) {
	for _, e := range p.joinAll(root) {
		health, err := e.health()
		shown := Health{Key: e.key, Root: e.root(), Health: health, Fault: err}
		if latest := e.latest(); latest != nil {
			shown.Quotas = latest.Quotas
		}
		all = append(all, shown)
		p.leave(e)
	}
	return all
}

// HealthOf tells how the registry of a key is, or why it is not open. It waits for nothing.
func (p *Pool) HealthOf(key Key) (registry.Health, error) {
	e := p.join(key)
	if e == nil {
		return registry.Health{}, fmt.Errorf("%w: closed by a reload", store.ErrUnavailable)
	}
	defer p.leave(e)
	return e.health()
}
