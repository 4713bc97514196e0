// Package dates gives files that are published one after another under one name dates of
// different seconds.
package dates

import (
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// datesKept is for how long a date is remembered.
	datesKept = 2 * time.Second

	// datesAhead is how far a date may be ahead of the clock. More means that the clock
	// was wrong and was set back.
	datesAhead = time.Hour
)

// Dates are those of the last publishes. Dates in HTTP have no more than seconds, and a client that asks by date would
// take the new file for the one it has (RFC 9110 section 8.8.2.2). The zero value knows of none.
type Dates struct {
	mu     sync.Mutex
	last   map[store.Ref]time.Time // by key
	pruned time.Time
}

// Choose returns the date of a file that is published now.
func (d *Dates) Choose(ref store.Ref, now time.Time) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, ok := d.last[ref.Key()]
	if !ok || isForgotten(last, now) || now.Unix() > last.Unix() {
		return now
	}
	return last.Truncate(time.Second).Add(time.Second)
}

// Note remembers the date of a file that was published.
func (d *Dates) Note(ref store.Ref, created, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = make(map[store.Ref]time.Time)
	}
	d.last[ref.Key()] = created
	if now.Sub(d.pruned).Abs() < datesKept {
		return
	}
	d.pruned = now
	for key, last := range d.last {
		if isForgotten(last, now) {
			delete(d.last, key)
		}
	}
}

// isForgotten tells whether a date no longer counts.
func isForgotten(last, now time.Time) bool {
	age := now.Sub(last)
	return age > datesKept || age < -datesAhead
}
