package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// errSilent: a server, or what is in between, keeps a connection open and does nothing.
var errSilent = errors.New("the server takes and sends nothing")

// watchdog ends a request when the server is waited for longer than a limit. The clock begins
// anew with each piece that comes or goes.
type watchdog struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

// watch returns a watchdog of a request that begins now.
func watch(parent context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(parent)
	silent := fmt.Errorf("%w for %s", errSilent, limit)
	return &watchdog{ctx, cancel, limit, time.AfterFunc(limit, func() { cancel(silent) })}
}

// over returns a request that the watchdog ends.
func (w *watchdog) over(request *http.Request) *http.Request {
	request = request.WithContext(w.ctx)
	if request.Body == nil || request.Body == http.NoBody {
		return request
	}
	request.Body = &sentBody{request.Body, w}
	if again := request.GetBody; again != nil {
		request.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return &sentBody{body, w}, err
		}
	}
	return request
}

// why returns an error of the request, or that the server was silent if that has caused it.
func (w *watchdog) why(err error) error {
	if cause := context.Cause(w.ctx); err != nil && err != io.EOF && errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// end says that the request is over.
func (w *watchdog) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// sentBody is the body of a request. While it is read, the server is not waited for.
type sentBody struct {
	io.ReadCloser
	dog *watchdog
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.dog.timer.Stop()
	defer b.dog.timer.Reset(b.dog.limit)
	return b.ReadCloser.Read(p)
}

// receivedBody is the body of an answer. While it is read, the server is waited for.
type receivedBody struct {
	io.ReadCloser
	dog *watchdog
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.dog.timer.Reset(b.dog.limit)
	defer b.dog.timer.Stop()
	n, err := b.ReadCloser.Read(p)
	return n, b.dog.why(err)
}

func (b *receivedBody) Close() error {
	defer b.dog.end()
	return b.ReadCloser.Close()
}
