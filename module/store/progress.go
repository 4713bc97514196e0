package store

import "context"

type progressKey struct{}

// WithProgress has report called with how far the opening of a store is, for people to
// read. It is called by one goroutine at a time, and must not wait.
func WithProgress(ctx context.Context, report func(text string)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// ReportProgress says how far the opening of a store is, such as "making the database
// anew: 35 %". A store calls it when an opening may take seconds. Without anybody who
// wants to know, nothing happens.
func ReportProgress(ctx context.Context, text string) {
	if report, ok := ctx.Value(progressKey{}).(func(string)); ok {
		report(text)
	}
}
