package waiting

import (
	"context"
	"time"
)

const (
	// Timeout bounds one call of a store: one that does not answer must not keep
	// a request, its slot and its memory for ever.
	Timeout = time.Minute
	// commitRate, in bytes per second, is what a blob store makes durable at least:
	// a commit has Timeout and the time that its bytes take at this rate.
	commitRate = 1 << 20
)

// Bounded is a request's context for one call of a store.
func Bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, Timeout)
}

// Finishing is Bounded for a change that is finished even if the client has gone: what
// became of it is known then.
func Finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return Bounded(context.WithoutCancel(ctx))
}

// Until runs a call that does not heed its context, and waits for it no longer than the context
// lasts. The call goes on: what it uses is its own.
func Until(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Committing is the context in which bytes become durable, even if the client has gone: what
// was received costs less to finish than to sweep.
func Committing(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), Timeout+time.Duration(size/commitRate)*time.Second)
}
