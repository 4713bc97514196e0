package registry

import (
	"context"
	"time"
)

const (
	// storeTimeout bounds one call of a store: one that does not answer must not keep
	// a request, its slot and its memory for ever.
	storeTimeout = time.Minute
	// commitRate, in bytes per second, is what a blob store makes durable at least:
	// a commit has storeTimeout and the time that its bytes take at this rate.
	commitRate = 1 << 20
)

// bounded is a request's context for one call of a store.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout)
}

// settled is bounded for a change that is finished even if the client has gone: what
// became of it is known then.
func settled(ctx context.Context) (context.Context, context.CancelFunc) {
	return bounded(context.WithoutCancel(ctx))
}

// committing is the context in which bytes become durable.
func committing(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout+time.Duration(size/commitRate)*time.Second)
}
