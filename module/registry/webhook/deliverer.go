package webhook

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// setTimeout bounds what setting hooks waits for a store on another machine. What it could not
// do is done by Run.
const setTimeout = 5 * time.Second

// Deliverer delivers the changes of one registry to the receivers of its hooks, in the
// background. Of several processes that share the registry one delivers at a time (duty.go).
// All methods may run concurrently.
type Deliverer struct {
	metadata store.MetadataStore
	changes  store.Changes // nil when the store does not tell its changes
	duty     Duty          // nil when no other process can have the store open
	log      *slog.Logger
	last     atomic.Uint64 // the last change, as far as it is known here

	setting sync.Mutex      // guards what follows, and is held by whoever begins or ends runs
	known   bool            // the bookmarks were read: this process delivers
	taken   time.Time       // when the duty was taken last
	looked  time.Time       // when it was looked for hooks that no process has any more
	told    waiting.Lasting // why nothing is saved

	elsewhere atomic.Bool // another process delivers

	mu        sync.Mutex // guards all below
	ctx       context.Context
	hooks     map[string]*scoped // that are set; nil before SetHooks
	runs      map[string]*run
	bookmarks map[string]store.Bookmark // of all hooks, as they are saved
}

// New returns a deliverer without hooks. It stops when the context ends.
func New(ctx context.Context, metadata store.MetadataStore, duty Duty, log *slog.Logger) *Deliverer {
	changes, _ := metadata.(store.Changes)
	return &Deliverer{metadata: metadata, changes: changes, duty: duty, log: log, ctx: ctx, runs: make(map[string]*run), bookmarks: make(map[string]store.Bookmark)}
}

// SetHooks has hooks count in place of those before. A hook that was there before, with the
// same owner and URL, goes on where it is; a new one begins with the next change. It
// returns when no other hook is told of anything any more.
func (d *Deliverer) SetHooks(hooks []Hook) {
	d.setting.Lock()
	defer d.setting.Unlock()
	if d.changes == nil {
		if len(hooks) > 0 {
			d.log.Error("webhooks need a metadata store that keeps changes for them; nothing is delivered")
		}
		return
	}
	if d.ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	d.hooks = scope(hooks)
	d.mu.Unlock()
	d.endOthers()
	ctx, cancel := context.WithTimeout(d.ctx, setTimeout)
	defer cancel()
	d.attend(ctx)
}

// endOthers ends the runs of hooks that are not set. Requires d.setting.
func (d *Deliverer) endOthers() {
	var old []*run
	d.mu.Lock()
	for id, r := range d.runs {
		if d.hooks[id] == nil {
			old = append(old, r)
			delete(d.runs, id)
		}
	}
	d.mu.Unlock()
	for _, r := range old {
		r.stop()
		d.keep(r)
	}
}

// deliver has all hooks that are set be delivered to, each from where it is. Those that cannot
// begin now do the next time. Requires d.setting.
func (d *Deliverer) deliver(ctx context.Context) {
	var begun []*run
	for id, hook := range d.hooks {
		if r := d.runs[id]; r != nil {
			r.set(hook)
			continue
		}
		bookmark, err := d.begin(ctx, id)
		if err != nil {
			d.log.Warn("a webhook cannot begin now; trying again", slog.String("webhook", id), slog.Any("error", err))
			continue
		}
		r := newRun(hook, bookmark, d)
		begun = append(begun, r)
		d.mu.Lock()
		d.runs[id] = r
		d.mu.Unlock()
	}
	d.save(ctx)
	for _, r := range begun {
		if d.known { // else another process delivers
			r.start(d.ctx)
		}
	}
}

// Run makes the bookmarks durable while they move, and takes over from another process that is
// gone. It ends with the context, after all deliveries have.
func (d *Deliverer) Run(ctx context.Context) {
	if d.changes == nil {
		return
	}
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	for ticks := 0; ctx.Err() == nil; ticks++ {
		select {
		case <-ticker.C:
			d.tick(ctx, ticks%attendTicks == 0)
		case <-ctx.Done():
		}
	}
	d.setting.Lock() // hooks that are being set have begun
	defer d.setting.Unlock()
	for _, r := range d.all() {
		r.stop()
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	d.save(ending)
	d.letGo(ending)
}

// tick is what is done all the time.
func (d *Deliverer) tick(ctx context.Context, attend bool) {
	d.setting.Lock()
	defer d.setting.Unlock()
	if d.hooks == nil {
		return // it is not known yet which there are
	}
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	if d.duty != nil && attend {
		d.attend(ctx)
	} else {
		d.save(ctx)
	}
	if d.known && len(d.hooks) > 0 {
		d.lastChange(ctx)
	}
}

func (d *Deliverer) all() []*run {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.runs))
}

// lastChange is the number of the last change, as far as it is known here when the store does
// not answer.
func (d *Deliverer) lastChange(ctx context.Context) uint64 {
	if last, err := d.changes.LastChange(ctx); err == nil {
		d.last.Store(last)
	}
	return d.last.Load()
}
