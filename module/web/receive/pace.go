package receive

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

const (
	// DefaultLeastRate is in bytes per second. It is below what the slowest lines give: a modem has 5 KiB per
	// second.
	DefaultLeastRate = 1 << 10

	// RateOff is the least rate that ends no upload.
	RateOff = -1

	// rateWindow is how long the registry waits for bytes of an upload until it compares
	// how many came with the least rate, unless a stall timeout is set. A line that is away
	// for a moment is no drip.
	rateWindow = 30 * time.Second
)

// errTooSlow is answered as a stall is.
var errTooSlow = fmt.Errorf("%w: the upload is below the least rate", os.ErrDeadlineExceeded)

// pace returns the body of an upload, which ends when it stalls, or drips. Whoever has read the
// body calls done.
func (l Limits) pace(w http.ResponseWriter, r *http.Request, body io.ReadCloser) (paced io.ReadCloser, done func()) {
	window, done := rateWindow, func() {}
	if l.StallTimeout > 0 {
		body, done = l.impatient(w, r, body)
		window = l.StallTimeout // a line may be away for so long
	}
	if l.LeastRate == RateOff {
		return body, done
	}
	return &pacedBody{ReadCloser: body, least: l.LeastRate, window: window, now: time.Now}, done
}

// impatient returns a body that ends when it stalls. Caddy takes no deadline that is later than
// that of its own timeout, so the timeout is replaced until done is called. The server's least
// rate is replaced too: with one, bytes that came fast let the upload stall for longer. A server
// that has no timeout gets one.
func (l Limits) impatient(w http.ResponseWriter, r *http.Request, body io.ReadCloser) (timed io.ReadCloser, done func()) {
	if reader, _ := caddyhttp.IdleTimeoutsFromContext(r.Context()); reader != nil {
		return body, reader.Override(l.StallTimeout, 0)
	}
	reader := &caddyhttp.IdleTimeoutReader{
		ReadCloser: body, Ctrl: http.NewResponseController(w), Logger: zap.NewNop(),
		Deadline:      caddyhttp.IdleDeadline{Timeout: l.StallTimeout},
		DrainDeadline: r.ProtoMajor == 1 && r.ContentLength != 0, ClearBetweenReads: r.ProtoMajor == 2,
	}
	return reader, reader.HandlerDone
}

// pacedBody ends an upload that comes too slowly. Only the time counts in which a read
// waits for the client: what the registry takes for itself is not the client's fault.
type pacedBody struct {
	io.ReadCloser
	least  int64 // bytes per second
	window time.Duration
	now    func() time.Time

	waited time.Duration // since the rate was compared
	came   int64         // since then
}

func (b *pacedBody) Read(p []byte) (int, error) {
	begun := b.now()
	n, err := b.ReadCloser.Read(p)
	b.waited += b.now().Sub(begun)
	b.came += int64(n)
	if err != nil || b.waited < b.window {
		return n, err
	}
	if float64(b.came) < float64(b.least)*b.waited.Seconds() {
		return 0, errTooSlow
	}
	b.waited, b.came = 0, 0
	return n, nil
}
