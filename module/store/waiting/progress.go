package waiting

import (
	"context"
	"fmt"
)

// Progress is how far a store is that is opened, or whose database is made anew.
type Progress struct {
	// Doing says what is being done, such as "making the changes that the database lacks".
	Doing string

	// Done and Total count changes, where changes are made. A total of zero is not known.
	Done, Total uint64
}

// String is the progress for people to read: with its percentage, where that is known.
func (p Progress) String() string {
	if p.Total == 0 {
		return p.Doing
	}
	return fmt.Sprintf("%s: %d %%", p.Doing, min(100, 100*p.Done/p.Total))
}

type progressKey struct{}

// WithProgress has report called with how far a store is that is opened or rebuilt with
// the context. It is called by one goroutine at a time, and must not wait.
func WithProgress(ctx context.Context, report func(Progress)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// ReportProgress says how far a store is. A store calls it when an opening may take
// seconds, and for every thousand changes or so that it makes. Without anybody who wants to
// know, nothing happens.
func ReportProgress(ctx context.Context, progress Progress) {
	if report, ok := ctx.Value(progressKey{}).(func(Progress)); ok {
		report(progress)
	}
}
