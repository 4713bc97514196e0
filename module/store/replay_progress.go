package store

import "context"

// ReplayProgress is told how far a metadata store is that makes its database out of its
// journal: how many changes are made, and how many there are to make. A total of zero is
// not known. It is called for every change, by one goroutine at a time, and must be quick.
type ReplayProgress func(done, total uint64)

type replayKey struct{}

// WithReplayProgress returns a context that tells a metadata store, which is opened or
// rebuilt with it, whom to tell how far it is.
func WithReplayProgress(ctx context.Context, tell ReplayProgress) context.Context {
	return context.WithValue(ctx, replayKey{}, tell)
}

// ReplayProgressOf returns what WithReplayProgress set, or a function that does nothing.
func ReplayProgressOf(ctx context.Context) ReplayProgress {
	if tell, ok := ctx.Value(replayKey{}).(ReplayProgress); ok {
		return tell
	}
	return func(uint64, uint64) {}
}
