// Package rounds is a group commit: callers that wait at the same time share an operation
// that takes as long for all as for one, such as a sync or a transaction.
//
// The steps of a round, in their order:
//
//  1. Who comes first leads the round. The leader waits until the round before has ended.
//     Whoever comes meanwhile joins.
//  2. The leader closes the round: who comes from now on needs the next one, because the work
//     may not reach what is changed after it has begun.
//  3. The leader does the work for all in the round, in the order in which they came.
//  4. Everybody in the round is told its error, and the next round begins.
//
// So what a caller waits for began after the call, and one round is in progress at a time.
// An error is of those alone who were in its round. Work that failed is not done again here.
package rounds

import (
	"context"
	"runtime"
	"slices"
	"sync"
)

// Rounds are the rounds of one kind of work.
type Rounds[T comparable] struct {
	work func(items []T) error
	most int
	turn chan struct{} // semaphore of the leader

	mu        sync.Mutex
	gathering *round[T] // nil: none
}

// New returns rounds of at most so many items, or without a limit for zero. What only some
// of the items of a round meet the work tells in the items.
func New[T comparable](most int, work func(items []T) error) *Rounds[T] {
	return &Rounds[T]{work: work, most: most, turn: make(chan struct{}, 1)}
}

// round is the items that share the work.
type round[T comparable] struct {
	items    []T
	departed bool // nobody joins or leaves any more
	done     chan struct{}
	err      error // valid once done is closed
}

// Join adds an item to the round that gathers, and returns the error of the round when that
// has ended, or that of the context. When the context ends the item leaves its round, unless
// that has begun: then the work is done with it, and nobody is told.
func (r *Rounds[T]) Join(ctx context.Context, item T) error {
	joined, leads := r.join(item)
	switch {
	case leads && ctx.Done() == nil:
		r.lead(joined)
	case leads:
		go r.lead(joined)
	}
	select {
	case <-joined.done:
		return joined.err
	case <-ctx.Done():
		r.leave(joined, item)
		return context.Cause(ctx)
	}
}

// join finds the round to wait for.
func (r *Rounds[T]) join(item T) (joined *round[T], leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leads = r.gathering == nil || len(r.gathering.items) == r.most; leads {
		r.gathering = &round[T]{done: make(chan struct{})}
	}
	r.gathering.items = append(r.gathering.items, item)
	return r.gathering, leads
}

func (r *Rounds[T]) lead(led *round[T]) {
	defer r.Pause()()
	defer close(led.done)
	runtime.Gosched() // lets others join the round
	if r.depart(led); len(led.items) > 0 {
		led.err = r.work(led.items)
	}
}

// leave takes an item out of a round that has not begun.
func (r *Rounds[T]) leave(joined *round[T], item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if joined.departed {
		return // the items are the work's
	}
	if i := slices.Index(joined.items, item); i >= 0 {
		joined.items = slices.Delete(joined.items, i, i+1)
	}
}

// depart closes a round.
func (r *Rounds[T]) depart(led *round[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	led.departed = true
	if r.gathering == led {
		r.gathering = nil
	}
}

// Pause returns when no round is in progress. The next one begins once resume is called.
func (r *Rounds[T]) Pause() (resume func()) {
	r.turn <- struct{}{}
	return func() { <-r.turn }
}

// Waiting is how many items the round has that gathers.
func (r *Rounds[T]) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gathering == nil {
		return 0
	}
	return len(r.gathering.items)
}
