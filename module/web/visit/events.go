package visit

import (
	"context"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/generic-registry/caddy-generic-registry/module/store/grant"
)

// The names of events.
const (
	eventPublished = "generic_registry.published"
	eventDeleted   = "generic_registry.deleted"
)

// Events are emitted for the changes of a registry.
type Events struct {
	app  *caddyevents.App
	ctx  caddy.Context // of the module that they come from
	root string

	// started is closed when all apps of the configuration run: until then the events app
	// takes in who listens, and may not be asked.
	started chan struct{}
	once    sync.Once
	ended   <-chan struct{} // closed with the configuration, which may never have started
}

// NewEvents returns the events of the registry of a root, which come from the module that a
// context is of.
func NewEvents(ctx caddy.Context, root string) (*Events, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, fmt.Errorf("loading the events app: %w", err)
	}
	e := &Events{app: app.(*caddyevents.App), ctx: ctx, root: root, started: make(chan struct{}), ended: ctx.Done()}
	// A request that is older than a reload is heard of too.
	e.ctx.Context = context.WithoutCancel(ctx.Context)
	if err := e.app.On("started", e); err != nil {
		return nil, fmt.Errorf("awaiting the start of Caddy: %w", err)
	}
	return e, nil
}

// Handle implements caddyevents.Handler, for the event that Caddy has started.
func (e *Events) Handle(context.Context, caddy.Event) error {
	e.once.Do(func() { close(e.started) })
	return nil
}

// emit tells those who listen, if anybody does, and returns when they have heard.
func (e *Events) emit(name string, data func() map[string]any) {
	select {
	case <-e.started:
	case <-e.ended:
		select {
		case <-e.started:
		default:
			return
		}
	}
	if e.app.ShouldEmit(name) {
		e.app.Emit(e.ctx, name, data())
	}
}

// Untold notes that nobody is to hear of a change: it is one of a draft, or it changed
// nothing.
func (v *Visit) Untold() { v.untold = true }

// emitChange tells of a change that was stored.
func (v *Visit) emitChange() {
	name := eventPublished
	switch {
	case v.site.Events == nil || v.untold || v.action == grant.Read:
		return
	case v.action == grant.Delete:
		name = eventDeleted
	case v.isPart(), v.republished == republishedSame:
		return
	}
	v.site.Events.emit(name, func() map[string]any {
		data := map[string]any{
			"root": v.site.Events.root, "owner": v.About.Owner, "package": v.About.Package, "version": v.About.Version, "file": v.About.File,
			"user": v.who.user, "token": v.tokenName(),
		}
		if v.found {
			data["size"], data["digest"] = v.file.Size, v.file.Digest.String()
		}
		return data
	})
}

var _ caddyevents.Handler = (*Events)(nil)
