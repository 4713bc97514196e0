package visit

import (
	"context"
	"net/http"
	"time"
)

// halfClosedWork is how long work goes on for a client of HTTP/1 that has closed its side of
// the connection.
const halfClosedWork = 30 * time.Second

// wanted returns a context that ends when nobody wants the answer any more, and what
// gives it back.
//
// A stream of HTTP/2 or HTTP/3 that the client resets ends at once. Over HTTP/1 the end
// of the client's side ends the request's context too, and does not tell a client that
// is gone from one that only has nothing more to send and waits for the answer: for
// both the work goes on for a while.
func wanted(r *http.Request) (ctx context.Context, end func()) {
	if r.ProtoMajor >= 2 {
		return context.WithCancel(r.Context())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		timer := time.NewTimer(halfClosedWork)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}
