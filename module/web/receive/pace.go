package receive

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// DefaultLeastRate is in bytes per second. It is below what the slowest lines give: a modem has 5 KiB per
	// second.
	DefaultLeastRate = 1 << 10

	// RateOff is the least rate that ends no upload.
	RateOff = -1

	// rateWindow is how long the registry waits for bytes of an upload until it compares
	// how many came with the least rate. A line that is away for a moment is no drip.
	rateWindow = 30 * time.Second
)

// errTooSlow is answered as a stall is.
var errTooSlow = fmt.Errorf("%w: the upload is below the least rate", os.ErrDeadlineExceeded)

// pace returns the body of an upload, which ends when it stalls, or drips.
func (l Limits) pace(w http.ResponseWriter, body io.ReadCloser) io.ReadCloser {
	window := rateWindow
	if l.StallTimeout > 0 {
		body = &impatientBody{body, http.NewResponseController(w), l.StallTimeout}
		window = min(window, l.StallTimeout)
	}
	if l.LeastRate == RateOff {
		return body
	}
	return &pacedBody{ReadCloser: body, least: l.LeastRate, window: window, now: time.Now}
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

// impatientBody ends an upload that stalls.
type impatientBody struct {
	io.ReadCloser
	control *http.ResponseController
	timeout time.Duration
}

func (b *impatientBody) Read(p []byte) (int, error) {
	// A connection that takes no deadline keeps the server's own.
	_ = b.control.SetReadDeadline(time.Now().Add(b.timeout))
	return b.ReadCloser.Read(p)
}
