package client

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// Each calls do for each item, several at once, and returns all errors. After the server has
// refused the user (401 or 403), no further item is begun. What was begun goes on to its end.
func Each[T any](ctx context.Context, parallel int, items []T, do func(context.Context, T) error) error {
	more, enough := context.WithCancel(ctx)
	defer enough()
	queue := make(chan T)
	var workers sync.WaitGroup
	var mu sync.Mutex
	var problems []error
	for range min(parallel, len(items)) {
		workers.Go(func() {
			for item := range queue {
				err := do(ctx, item)
				if err == nil {
					continue
				}
				mu.Lock()
				problems = append(problems, err)
				mu.Unlock()
				if code := Status(err); code == http.StatusUnauthorized || code == http.StatusForbidden {
					enough() // the others would hear the same
				}
			}
		})
	}
	for _, item := range items {
		if more.Err() != nil {
			break
		}
		select {
		case queue <- item:
		case <-more.Done():
		}
	}
	close(queue)
	workers.Wait()
	real := problems[:0:0]
	for _, problem := range problems {
		if !errors.Is(problem, context.Canceled) {
			real = append(real, problem)
		}
	}
	if len(real) == 0 && ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(real...)
}
