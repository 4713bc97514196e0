// Package recent remembers the last ones of what was opened, to keep their number small.
package recent

import (
	"slices"
	"sync"
)

// List has the last items that were added. Its methods may run concurrently.
type List[T comparable] struct {
	mu    sync.Mutex
	items []T // the one that was added first is first
}

// Add adds an item, and returns the one that was added first when there are more than so many.
func (l *List[T]) Add(item T, most int) (first T, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
	if full = len(l.items) > most; full {
		first = l.items[0]
		l.items = slices.Delete(l.items, 0, 1)
	}
	return first, full
}

// Forget takes an item out, if it is there.
func (l *List[T]) Forget(item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.items, item); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
}

// Len is how many items there are.
func (l *List[T]) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}
