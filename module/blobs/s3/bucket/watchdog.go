package bucket

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

var (
	// errSilent: the server made no progress.
	errSilent = errors.New("the server does not answer")
	// errStopped: the bucket is closed, or what was written is dropped.
	errStopped = errors.New("it was given up")
)

// watch returns a watchdog of a request that begins now. What waits for a client is not waiting
// for the server.
func watch(parent context.Context, limit time.Duration) *waiting.Watchdog {
	return waiting.Watch(parent, limit, errSilent)
}

// expected is the body of an answer. The server is waited for anew with each read.
type expected struct {
	body io.Reader
	dog  *waiting.Watchdog
}

// Read implements io.Reader.
func (e expected) Read(p []byte) (int, error) {
	e.dog.Expect()
	return e.body.Read(p)
}
