package webhook

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Health is how a hook is.
type Health struct {
	ID, Owner, URL string
	// Elsewhere tells that another process delivers, and this one when that is gone. Only the
	// one that delivers knows what follows.
	Elsewhere bool
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
	d.mu.Lock()
	hooks, runs := maps.Clone(d.hooks), maps.Clone(d.runs)
	d.mu.Unlock()
	for id, hook := range hooks {
		if r := runs[id]; r != nil {
			all = append(all, r.health(d.last.Load()))
		} else {
			all = append(all, d.healthWithoutRun(id, hook))
		}
	}
	slices.SortFunc(all, func(a, b Health) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), strings.Compare(a.URL, b.URL), strings.Compare(a.ID, b.ID))
	})
	return all
}

// healthWithoutRun is the health of a hook for which this process delivers nothing.
func (d *Deliverer) healthWithoutRun(id string, hook *scoped) Health {
	h := Health{ID: id, Owner: hook.Owner, URL: hook.Shown, Elsewhere: d.elsewhere.Load()}
	if !h.Elsewhere {
		h.Fault = "the deliveries have not begun"
	}
	return h
}

func (r *run) health(last uint64) Health {
	hook := r.hook.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	return Health{
		ID: r.id, Owner: hook.Owner, URL: hook.Shown,
		After: r.bookmark.After, Behind: last - min(last, r.bookmark.After),
		Waiting: r.state.waiting, Failing: r.state.failing, Fault: r.state.fault,
		Delivered: r.state.delivered, Failed: r.state.failed, Lost: r.bookmark.Lost, LostAt: r.bookmark.LostAt,
		Recent: slices.Clone(r.state.recent),
	}
}
