// Package rounds is a group commit: callers that wait at the same time share an operation
// that takes as long for all as for one, such as a sync or a transaction.
//
// The steps of a round, in their order:
//
//  1. Who comes first leads the round. The leader waits until the round before has ended.
//     Whoever comes meanwhile joins, until the round is full.
//  2. The leader closes the round: who comes from now on needs the next one, because the work
//     may not reach what is changed after it has begun.
//  3. The leader does the work for all in the round, in the order in which they came.
//  4. Everybody in the round is told its error, and the next round begins.
//
// So what a caller waits for began after the call, and one round is in progress at a time, in
// the order in which they were begun.
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
	work  func(items []T) error
	most  int
	weigh func(item T) int
	turn  chan struct{} // semaphore of the leader

	mu        sync.Mutex
	gathering *round[T]     // nil: none
	last      chan struct{} // closed when the round has ended that was begun last; nil: none was
	waiting   int           // items of rounds whose work has not begun
}

// New returns rounds of at most so many items, or without a limit for zero. What only some
// of the items of a round meet the work tells in the items.
func New[T comparable](most int, work func(items []T) error) *Rounds[T] {
	return Weighed(most, func(T) int { return 1 }, work)
}

// Weighed is New with rounds of items that weigh at most so much together. One that weighs more
// has a round of its own.
func Weighed[T comparable](most int, weigh func(item T) int, work func(items []T) error) *Rounds[T] {
	return &Rounds[T]{work: work, most: most, weigh: weigh, turn: make(chan struct{}, 1)}
}

// round is the items that share the work.
type round[T comparable] struct {
	items    []T
	weight   int
	departed bool          // nobody joins or leaves any more
	before   chan struct{} // done of the round before; nil: there was none
	done     chan struct{}
	err      error // valid once done is closed
}

// Join adds an item to the round that gathers, and returns the error of the round when that
// has ended, or that of the context. When the context ends the item leaves its round, unless
// that has begun: then the work is done with it, and nobody is told.
func (r *Rounds[T]) Join(ctx context.Context, item T) error { return r.Add(item)(ctx) }

// Add is the beginning of Join: the item has its place in a round when Add returns. It waits for
// nothing. The function that it returns is the rest of Join, and is called once.
func (r *Rounds[T]) Add(item T) (wait func(ctx context.Context) error) {
	joined, leads := r.join(item)
	if leads {
		go r.lead(joined)
	}
	return func(ctx context.Context) error {
		select {
		case <-joined.done:
			return joined.err
		case <-ctx.Done():
			r.leave(joined, item)
			return context.Cause(ctx)
		}
	}
}

// join finds the round to wait for.
func (r *Rounds[T]) join(item T) (joined *round[T], leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	weight := r.weigh(item)
	if leads = r.gathering == nil || r.most > 0 && r.gathering.weight+weight > r.most; leads {
		r.gathering = &round[T]{before: r.last, done: make(chan struct{})}
		r.last = r.gathering.done
	}
	r.gathering.items = append(r.gathering.items, item)
	r.gathering.weight += weight
	r.waiting++
	return r.gathering, leads
}

func (r *Rounds[T]) lead(led *round[T]) {
	defer close(led.done)
	if led.before != nil {
		<-led.before
	}
	defer r.Pause()()
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
		joined.weight -= r.weigh(item)
		r.waiting--
	}
}

// depart closes a round.
func (r *Rounds[T]) depart(led *round[T]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	led.departed = true
	r.waiting -= len(led.items)
	if r.gathering == led {
		r.gathering = nil
	}
}

// Pause returns when no round is in progress. The next one begins once resume is called.
func (r *Rounds[T]) Pause() (resume func()) {
	r.turn <- struct{}{}
	return func() { <-r.turn }
}

// Waiting is how many items have a place in rounds whose work has not begun.
func (r *Rounds[T]) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting
}

// Drain returns when the rounds have ended of all items that were added before.
func (r *Rounds[T]) Drain() {
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last != nil {
		<-last
	}
}
