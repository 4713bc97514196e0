package webhook

import (
	"context"
	"log/slog"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// lease is after how long without a word another process delivers.
	lease = 15 * time.Second
	// attendTicks is every how many ticks the duty is asked for.
	attendTicks = 3
	// lookInterval is how often a process without hooks looks whether another one has some.
	lookInterval = 10 * time.Minute
	// abandonedAfter is when changes are kept no more for hooks that no process has.
	abandonedAfter = time.Hour
	// endTimeout bounds what is still stored at the end.
	endTimeout = 2 * time.Second
)

// Duty tells whether this process is the one of several that delivers, for a lease from now on.
// Lease zero lets the duty go.
type Duty func(ctx context.Context, lease time.Duration) (has bool, err error)

// attend delivers if this process is to, and otherwise does not. A process that takes over reads
// the bookmarks anew, after which the store takes none of who delivered before. Requires
// d.setting.
func (d *Deliverer) attend(ctx context.Context) {
	if d.duty != nil && !d.known && len(d.hooks) == 0 {
		d.endAbandoned(ctx)
		return
	}
	if !d.isOnDuty(ctx) {
		d.standDown()
		return
	}
	isNew := !d.known
	if !d.load(ctx) {
		return
	}
	if isNew && d.duty != nil {
		d.log.Info("this node delivers webhooks from now on")
	}
	d.deliver(ctx)
	if len(d.hooks) == 0 {
		d.letGo(ctx)
	}
}

// isOnDuty asks for the duty. While nobody answers, it is kept for as long as it was given for.
func (d *Deliverer) isOnDuty(ctx context.Context) bool {
	if d.duty == nil {
		return true
	}
	asked := time.Now()
	has, err := d.duty(ctx, lease)
	if err != nil {
		return d.known && time.Since(d.taken) < lease
	}
	d.elsewhere.Store(!has)
	if has {
		d.taken = asked
	}
	return has
}

// standDown ends all deliveries: another process goes on with them. Requires d.setting.
func (d *Deliverer) standDown() {
	if !d.known {
		return
	}
	for _, r := range d.all() {
		r.stop()
	}
	d.known = false
	d.mu.Lock()
	clear(d.runs)
	clear(d.bookmarks)
	d.mu.Unlock()
	d.log.Info("this node delivers no webhooks from now on: another one does")
}

// letGo has another process deliver at once, if there is one. Requires d.setting.
func (d *Deliverer) letGo(ctx context.Context) {
	if d.duty == nil || !d.known {
		return
	}
	d.known = false
	_, _ = d.duty(ctx, 0) // or the lease ends
}

// endAbandoned has no changes kept when no process has hooks any more, such as after they were
// taken away while no process ran. One that is to have them soon may be about to start, so it
// waits a while. Requires d.setting.
func (d *Deliverer) endAbandoned(ctx context.Context) {
	if time.Since(d.looked) < lookInterval {
		return
	}
	has, err := d.duty(ctx, lease)
	if err != nil {
		return
	}
	d.looked = time.Now()
	if !has || !d.load(ctx) {
		return
	}
	defer d.letGo(ctx)
	for _, bookmark := range d.bookmarks {
		if time.Since(bookmark.Saved) < abandonedAfter {
			return
		}
	}
	if err := d.changes.HoldChanges(ctx, store.NoHold); err != nil {
		d.log.Warn("changes are kept for webhooks that no node has; trying again", slog.Any("error", err))
	}
}
