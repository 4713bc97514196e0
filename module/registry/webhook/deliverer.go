package webhook

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// saveInterval is how often bookmarks are made durable that have moved. After a crash, what
	// was delivered since is delivered again.
	saveInterval = time.Second

	// forgetAfter is when the bookmark of a hook is forgotten that no configuration has any more.
	forgetAfter = 7 * 24 * time.Hour
)

// Deliverer delivers the changes of one registry to the receivers of its hooks, in the
// background. All methods may run concurrently.
type Deliverer struct {
	metadata store.MetadataStore
	changes  store.Changes // nil when the store does not tell its changes
	log      *slog.Logger

	setting sync.Mutex      // held while hooks are set, and at the end
	saving  sync.Mutex      // held by save
	told    waiting.Lasting // why nothing is saved; for save

	mu        sync.Mutex // guards all below
	ctx       context.Context
	runs      map[string]*run
	bookmarks map[string]store.Bookmark // of all hooks, as they are saved
	known     bool                      // they were read
}

// New returns a deliverer without hooks. It stops when the context ends.
func New(ctx context.Context, metadata store.MetadataStore, log *slog.Logger) *Deliverer {
	changes, _ := metadata.(store.Changes)
	return &Deliverer{metadata: metadata, changes: changes, log: log, ctx: ctx, runs: make(map[string]*run), bookmarks: make(map[string]store.Bookmark)}
}

// SetHooks has hooks count in place of those before. A hook that was there before, with the
// same owner and URL, goes on where it is; a new one begins with the next change. It
// returns when no other hook is told of anything any more.
func (d *Deliverer) SetHooks(hooks []Hook) {
	d.setting.Lock()
	defer d.setting.Unlock()
	if d.changes == nil {
		if len(hooks) > 0 {
			d.log.Error("webhooks need a metadata store with a journal; nothing is delivered")
		}
		return
	}
	if d.ctx.Err() != nil {
		return
	}
	d.load()
	want := scope(hooks)
	d.mu.Lock()
	var old []*run
	for id, r := range d.runs {
		if want[id] == nil {
			old = append(old, r)
			delete(d.runs, id)
		}
	}
	d.mu.Unlock()
	for _, r := range old {
		r.stop()
		d.keep(r)
	}
	var begun []*run
	d.mu.Lock()
	for id, hook := range want {
		if r := d.runs[id]; r != nil {
			r.set(hook)
			continue
		}
		r := newRun(hook, d.begin(id), d.metadata.ID(), d.changes, d.log)
		d.runs[id] = r
		begun = append(begun, r)
	}
	d.mu.Unlock()
	d.save()
	for _, r := range begun {
		r.start(d.ctx)
	}
}

// load reads the bookmarks, once.
func (d *Deliverer) load() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known {
		return
	}
	d.known = true
	bookmarks, err := d.changes.Bookmarks()
	if err != nil {
		d.log.Error("the positions of the webhooks are unknown; webhooks begin with the next change", slog.Any("error", err))
	}
	maps.Copy(d.bookmarks, bookmarks)
}

// begin returns where a hook begins. One that was farther than the store is now belongs to
// a journal that is no more.
func (d *Deliverer) begin(id string) store.Bookmark {
	last := d.changes.LastChange()
	bookmark, known := d.bookmarks[id]
	if known && bookmark.After > last {
		d.log.Error("the position of a webhook is a change that the journal does not have; the webhook begins with the next change", slog.String("webhook", id), slog.Uint64("after", bookmark.After), slog.Uint64("last", last))
	}
	if !known || bookmark.After > last {
		bookmark.After = last
	}
	return bookmark
}

// keep notes where a hook is.
func (d *Deliverer) keep(r *run) {
	r.mu.Lock()
	bookmark := r.bookmark
	r.mu.Unlock()
	bookmark.Saved = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bookmarks[r.id] = bookmark
}

// Run makes the bookmarks durable while they move, and ends with the context, after all
// deliveries have.
func (d *Deliverer) Run(ctx context.Context) {
	if d.changes == nil {
		return
	}
	ticker := time.NewTicker(saveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			d.save()
			continue
		case <-ctx.Done():
		}
		break
	}
	d.setting.Lock() // hooks that are being set have begun
	defer d.setting.Unlock()
	for _, r := range d.all() {
		r.stop()
	}
	d.save()
}

func (d *Deliverer) all() []*run {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.runs))
}

// save makes the bookmarks durable if one has moved. What they need is held, and no more.
func (d *Deliverer) save() {
	d.saving.Lock()
	defer d.saving.Unlock()
	held, moved := store.NoHold, false
	for _, r := range d.all() {
		d.mu.Lock()
		before, known := d.bookmarks[r.id]
		d.mu.Unlock()
		r.mu.Lock()
		now := r.bookmark
		r.mu.Unlock()
		held = min(held, now.After)
		if !known || before.After != now.After || before.Lost != now.Lost {
			moved = true
			d.keep(r)
		}
	}
	if moved {
		d.mu.Lock()
		maps.DeleteFunc(d.bookmarks, func(id string, bookmark store.Bookmark) bool {
			return d.runs[id] == nil && time.Since(bookmark.Saved) > forgetAfter
		})
		bookmarks := maps.Clone(d.bookmarks)
		d.mu.Unlock()
		if err := d.changes.SaveBookmarks(bookmarks); err != nil {
			if d.told.IsNews(err.Error()) {
				d.log.Warn("the positions of the webhooks cannot be stored now; after a crash, webhooks send more changes again", slog.Any("error", err))
			}
			d.mu.Lock()
			for _, r := range d.runs {
				delete(d.bookmarks, r.id) // to be saved by the next try
			}
			d.mu.Unlock()
			return
		}
	}
	d.changes.HoldChanges(held)
}

// Health is how a hook is.
type Health struct {
	ID, Owner, URL string
	// After is the last change that is done with, Behind how many came since.
	After, Behind uint64
	// Waiting is when the change was made that is being delivered. Zero when there is none.
	Waiting time.Time
	// Failing is since when the receiver takes nothing. Zero when it does.
	Failing time.Time
	// Fault is why the last try failed. Empty when it did not.
	Fault string
	// Delivered and Failed are requests since the registry was opened, Lost the changes that
	// were given up since the hook began, the last one at LostAt.
	Delivered, Failed, Lost uint64
	LostAt                  time.Time
	// Recent are the last deliveries, the newest last.
	Recent []Delivery
}

// Hooks tells how all hooks are, by owner and URL, at once.
func (d *Deliverer) Hooks() (all []Health) {
	if d.changes == nil {
		return nil
	}
	last := d.changes.LastChange()
	for _, r := range d.all() {
		hook := r.hook.Load()
		r.mu.Lock()
		all = append(all, Health{
			ID: r.id, Owner: hook.Owner, URL: hook.Shown,
			After: r.bookmark.After, Behind: last - min(last, r.bookmark.After),
			Waiting: r.state.waiting, Failing: r.state.failing, Fault: r.state.fault,
			Delivered: r.state.delivered, Failed: r.state.failed, Lost: r.bookmark.Lost, LostAt: r.bookmark.LostAt,
			Recent: slices.Clone(r.state.recent),
		})
		r.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Health) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
	})
	return all
}
