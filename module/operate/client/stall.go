package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// errSilent: a server, or what is in between, keeps a connection open and does nothing.
var errSilent = errors.New("the server takes and sends nothing")

// watchdog ends a request when nothing comes or goes for longer than a limit.
type watchdog struct{ *waiting.Watchdog }

// watch returns a watchdog of a request that begins now.
func watch(parent context.Context, limit time.Duration) *watchdog {
	return &watchdog{waiting.Watch(parent, limit, fmt.Errorf("%w for %s", errSilent, limit))}
}

// over returns a request that the watchdog ends.
func (w *watchdog) over(request *http.Request) *http.Request {
	request = request.WithContext(w.Ctx)
	if request.Body == nil || request.Body == http.NoBody {
		return request
	}
	request.Body = w.watched(request.Body)
	if again := request.GetBody; again != nil {
		request.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			return w.watched(body), err
		}
	}
	return request
}

func (w *watchdog) watched(body io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{w.Body(body), body}
}

// why returns an error of the request, or that the server was silent if that has caused it.
func (w *watchdog) why(err error) error {
	if cause := context.Cause(w.Ctx); err != nil && err != io.EOF && errors.Is(cause, errSilent) {
		return cause
	}
	return err
}

// end says that the request is over.
func (w *watchdog) end() { w.End(nil) }

// receivedBody is the body of an answer. While it is read, the server is waited for.
type receivedBody struct {
	io.ReadCloser
	dog *watchdog
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.dog.Expect()
	defer b.dog.Rest()
	n, err := b.ReadCloser.Read(p)
	return n, b.dog.why(err)
}

func (b *receivedBody) Close() error {
	defer b.dog.end()
	return b.ReadCloser.Close()
}
