package webhook

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// A request that failed is sent again after firstWait, and then after twice as long each
	// time, up to longestWait. Each wait is shortened by up to a half at random.
	firstWait   = 500 * time.Millisecond
	longestWait = 5 * time.Minute

	// readAhead is how many changes are read at once.
	readAhead = 64
	// readRetry is when changes that could not be read are asked for again.
	readRetry = 2 * time.Second

	// recentKept is how many deliveries are remembered.
	recentKept = 20
)

// Delivery is one request, or why there was none.
type Delivery struct {
	ID       string    `json:"id"`
	Sequence uint64    `json:"seq"`
	Action   string    `json:"action"`
	Owner    string    `json:"owner"`
	Package  string    `json:"package"`
	Version  string    `json:"version,omitempty"`
	File     string    `json:"file,omitempty"`
	Time     time.Time `json:"time"`
	// Took is in milliseconds.
	Took int64 `json:"took_ms"`
	// Status of the answer. Zero without one.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// run is the work for one hook. Its goroutine alone delivers.
type run struct {
	id      string
	storeID string
	changes store.Changes
	last    func(context.Context) uint64 // the number of the last change
	log     *slog.Logger
	now     func() time.Time

	hook   atomic.Pointer[scoped]
	client *http.Client
	wake   chan struct{} // the settings have changed
	end    context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex // guards all below
	bookmark store.Bookmark
	state    state
}

// state is what has become of deliveries.
type state struct {
	delivered, failed uint64
	waiting           time.Time // when the change was made that is being delivered; zero for none
	failing           time.Time // since when nothing is taken; zero when something was
	fault             string
	recent            []Delivery // the newest last
}

func newRun(hook *scoped, bookmark store.Bookmark, d *Deliverer) *run {
	r := &run{
		id: hook.ID(), storeID: d.metadata.ID(), changes: d.changes, last: d.lastChange, now: time.Now, bookmark: bookmark,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	r.log = d.log.With(slog.String("webhook", r.id), slog.String("owner", hook.Owner))
	r.hook.Store(hook)
	r.client = newClient(func() bool { return r.hook.Load().AllowPrivate })
	return r
}

// start begins to deliver, until the context or stop ends it.
func (r *run) start(ctx context.Context) {
	ctx, r.end = context.WithCancel(ctx)
	go func() {
		defer close(r.ended)
		defer r.client.CloseIdleConnections()
		r.work(ctx)
	}()
}

// stop ends the deliveries. A request in progress is cut; the next run sends it again.
func (r *run) stop() {
	if r.end == nil {
		return // it has not begun
	}
	r.end()
	<-r.ended
}

// set has settings count from now on.
func (r *run) set(hook *scoped) {
	if r.hook.Swap(hook) == hook {
		return // a receiver that fails is not to be asked sooner
	}
	r.client.CloseIdleConnections() // to an address that may no longer be allowed
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// at is where the run is.
func (r *run) at() store.Bookmark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bookmark
}

// work delivers one change after the other.
func (r *run) work(ctx context.Context) {
	changes := r.changes.Follow(r.at().After)
	var told waiting.Lasting
	for ctx.Err() == nil {
		next, err := changes.Next(ctx, readAhead)
		if err != nil && ctx.Err() == nil {
			r.note(func(s *state) { s.fault = "reading the changes: " + err.Error() })
			if told.IsNews(err.Error()) {
				r.log.Warn("a webhook cannot read the changes; trying again", slog.Any("error", err))
			}
			r.sleep(ctx, readRetry)
			continue
		}
		r.note(func(s *state) {
			if s.failing.IsZero() {
				s.fault = ""
			}
		})
		for _, change := range next {
			if missing := change.Sequence - r.at().After - 1; missing > 0 {
				r.lose(missing, "the journal has them no more")
			}
			if !r.deliver(ctx, change) {
				return
			}
			r.mu.Lock()
			r.bookmark.After = change.Sequence
			r.mu.Unlock()
		}
	}
}

// deliver has the receiver take a change that its hook is about, or gives the change up. It
// returns false when the context has ended before.
func (r *run) deliver(ctx context.Context, change store.Change) bool {
	defer r.note(func(s *state) { s.waiting = time.Time{} })
	for ctx.Err() == nil {
		hook := r.hook.Load()
		action, wants := hook.wants(change)
		switch {
		case !wants:
			return true
		case hook.isTooOld(change, r.last(ctx), r.now()):
			r.lose(1, "the receiver did not take it in time")
			return true
		}
		r.note(func(s *state) { s.waiting = change.Time })
		if r.try(ctx, hook, action, change) {
			return true
		}
		r.sleep(ctx, r.wait())
	}
	return false
}

// try sends a change once.
func (r *run) try(ctx context.Context, hook *scoped, action string, change store.Change) (taken bool) {
	one := Delivery{
		ID: deliveryID(r.storeID, r.id, change), Sequence: change.Sequence, Action: action,
		Owner: change.Owner, Package: change.Package, Version: change.Version, File: change.File, Time: r.now(),
	}
	began := time.Now()
	body, err := bodyOf(hook.Hook, action, change)
	if err == nil {
		one.Status, err = send(ctx, r.client, hook.Hook, one.ID, body)
	}
	if err != nil && ctx.Err() != nil {
		return false // cut, because the deliveries end
	}
	one.Took = time.Since(began).Milliseconds()
	if err != nil {
		one.Error = err.Error()
	}
	var since time.Time
	r.note(func(s *state) {
		since = s.failing
		s.recent = append(s.recent, one)
		if len(s.recent) > recentKept {
			s.recent = s.recent[1:]
		}
		if s.fault = one.Error; err == nil {
			s.delivered++
			s.failing = time.Time{}
			return
		}
		s.failed++
		if since.IsZero() {
			s.failing = one.Time
		}
	})
	switch {
	case err == nil && !since.IsZero():
		r.log.Info("the receiver of a webhook takes events again", slog.Time("since", since))
	case err != nil && since.IsZero():
		r.log.Warn("the receiver of a webhook does not take an event; trying again", slog.Uint64("change", change.Sequence), slog.Any("error", err))
	}
	return err == nil
}

// wait is how long to wait before the next try: the longer the receiver fails, the longer.
func (r *run) wait() time.Duration {
	r.mu.Lock()
	failing := r.now().Sub(r.state.failing)
	r.mu.Unlock()
	wait := min(max(failing, firstWait), longestWait)
	return wait/2 + rand.N(wait/2)
}

// sleep waits, but not for longer than the settings stay.
func (r *run) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.wake:
	case <-ctx.Done():
	}
}

// lose counts changes that are not told.
func (r *run) lose(count uint64, why string) {
	r.mu.Lock()
	first := r.now().Sub(r.bookmark.LostAt) > time.Minute
	r.bookmark.Lost += count
	r.bookmark.LostAt = r.now()
	after := r.bookmark.After
	r.mu.Unlock()
	if first {
		r.log.Error("a webhook gives up changes", slog.Uint64("after", after), slog.Uint64("changes", count), slog.String("why", why))
	}
}

func (r *run) note(change func(*state)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.state)
}
