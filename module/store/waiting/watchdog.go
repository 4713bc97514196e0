package waiting

import (
	"context"
	"io"
	"time"
)

// Watchdog ends a request to a server that is waited for longer than a limit. The clock begins
// anew each time the server is waited for. It belongs to one request.
type Watchdog struct {
	// Ctx is of the request. Its cause is what the watchdog was ended with.
	Ctx context.Context

	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// Watch returns a watchdog of a request that begins now. Silent is the cause when the server was
// waited for too long.
func Watch(parent context.Context, limit time.Duration, silent error) *Watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &Watchdog{ctx, cancel, limit, time.AfterFunc(limit, func() { cancel(silent) })}
}

// Expect says that the server is waited for, from now on.
func (w *Watchdog) Expect() { w.timer.Reset(w.limit) }

// Rest says that the server is not waited for.
func (w *Watchdog) Rest() { w.timer.Stop() }

// End says that the request is over, and why.
func (w *Watchdog) End(cause error) {
	w.timer.Stop()
	w.cancel(cause)
}

// Follow has the request end with another context, until the returned function is called.
func (w *Watchdog) Follow(ctx context.Context) (leave func() bool) {
	return context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
}

// Body returns the body of the request: while it is read, the server is not waited for.
func (w *Watchdog) Body(body io.Reader) io.Reader { return &watchedBody{body, w} }

type watchedBody struct {
	body io.Reader
	dog  *Watchdog
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.dog.Rest()
	defer b.dog.Expect()
	return b.body.Read(p)
}
