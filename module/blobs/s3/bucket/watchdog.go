package bucket

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	// errSilent: the server made no progress.
	errSilent = errors.New("the server does not answer")
	// errStopped: the bucket is closed, or what was written is dropped.
	errStopped = errors.New("it was given up")
)

// watchdog ends a request when the server is waited for longer than a limit. What waits for
// a client is not waiting for the server.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// watch returns a watchdog of a request that begins now.
func watch(parent context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	return &watchdog{ctx, cancel, limit, time.AfterFunc(limit, func() { cancel(errSilent) })}
}

// expect says that the server is waited for, from now on.
func (w *watchdog) expect() { w.timer.Reset(w.limit) }

// rest says that the server is not waited for.
func (w *watchdog) rest() { w.timer.Stop() }

// end says that the request is over.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(errStopped)
}

// follow has the request end with another context, until the returned function is called.
func (w *watchdog) follow(ctx context.Context) (leave func() bool) {
	return context.AfterFunc(ctx, func() { w.cancel(context.Cause(ctx)) })
}

// watchedBody is the body of a request: while it is read, the server is not waited for.
type watchedBody struct {
	body io.Reader
	dog  *watchdog
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.dog.rest()
	defer b.dog.expect()
	return b.body.Read(p)
}
