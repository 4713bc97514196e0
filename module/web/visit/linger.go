package visit

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
)

// What a refused request may still send. Closing a connection on unread bytes resets
// it, and a client that reads only after it has sent everything then sees the reset in
// place of the answer. So do proxies, which report a 502.
const (
	// smallBody is read before the answer, in at most smallBodyTime, and the connection
	// stays open.
	smallBody     = 64 << 10
	smallBodyTime = 5 * time.Second

	// An HTTP/1 connection that brings no byte for so long is closed.
	connectionIdle = 5 * time.Second
	// The same of a stream of HTTP/2 or HTTP/3. Clients that stop sending at a refusal
	// do not say so, and wait for the end of the stream.
	streamIdle = 300 * time.Millisecond

	// maxStrangers is how many requests of clients that may not write are discarded at
	// once, in the whole process. The connections of others are closed at once.
	maxStrangers = 256
)

// lingerBounds bound how much, and for how long, is read of one refused request.
type lingerBounds struct {
	bytes int64
	time  time.Duration
}

var (
	boundsOfWriters   = lingerBounds{1 << 30, 10 * time.Minute}
	boundsOfStrangers = lingerBounds{256 << 20, time.Minute}
)

// strangers counts the requests that are discarded under boundsOfStrangers.
var strangers atomic.Int64

// denial is an answer to a request whose body is not wanted.
type denial struct {
	status            int
	contentType, text string
	cacheControl      string // empty keeps caches away
	// mayWrite tells that the client may write here: it is given more patience.
	mayWrite bool
	// late tells that the client may have begun to send the body, although it was to wait
	// for this answer.
	late bool
	// alone tells that others write an answer after this one, which is not to be seen.
	alone bool
}

// AnswerUnread answers a request whose answer is that the body need not come. A client that
// sends it all the same is listened to as after a refusal. Streams of HTTP/2 and HTTP/3 whose
// clients were to wait until they are asked for the body just end (RFC 9113 section 8.1).
func AnswerUnread(w http.ResponseWriter, r *http.Request, status int) {
	body, ours := r.Body.(*requestBody)
	if r.ProtoMajor > 1 && ExpectsContinue(r) || !ours {
		w.WriteHeader(status)
		return
	}
	denial{status: status, mayWrite: true, late: true}.answer(w, r, body)
}

// answer writes the denial so that it arrives, whatever the client is sending: the
// whole of it goes out first, then the rest of the body is read and thrown away, within
// bounds. It ends when Caddy stops.
func (d denial) answer(w http.ResponseWriter, r *http.Request, body *requestBody) {
	header := w.Header()
	if d.contentType != "" {
		header.Set("Content-Type", d.contentType)
		header.Set("X-Content-Type-Options", "nosniff")
	}
	if d.alone {
		header.Set("Content-Length", strconv.Itoa(len(d.text))) // net/http refuses what is beyond it
		defer header.Del("Content-Length")                      // a handler that answers after all has a length of its own
		if r.ProtoMajor == 1 && routes.HasErrors(r) {
			header.Set("Connection", "close") // net/http closes it then, and does not say so
		}
	}
	control := http.NewResponseController(w)
	if r.ContentLength == 0 || body.done || isSmall(r) && body.readSmall(control) {
		// The server says the length. Caddy's intercept puts another body in place of this
		// one, and leaves the header as it is.
		d.write(w)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(d.text)))
	if r.ProtoMajor == 1 {
		header.Set("Connection", "close")
		if ExpectsContinue(r) && !body.touched && !d.late {
			// The client has sent no body and waits for this answer; reading from the
			// body would ask for it (RFC 9110 section 10.1.1).
			d.write(w)
			return
		}
	}
	// Without full duplex net/http reads of the body before it writes. A writer that
	// cannot do it answers late, but answers.
	_ = control.EnableFullDuplex()
	d.write(w)
	if body.failed || control.Flush() != nil {
		return
	}
	if !d.discard(control, body, r.ProtoMajor) {
		// Otherwise net/http would wait for some of the rest.
		_ = control.SetReadDeadline(time.Now())
	}
}

func (d denial) write(w http.ResponseWriter) {
	w.WriteHeader(d.status)
	_, _ = io.WriteString(w, d.text) // the client may be gone
	if d.alone {
		_ = http.NewResponseController(w).Flush() // before others break the connection
	}
}

// discard reads the rest of a body, and tells whether all of it came.
func (d denial) discard(control *http.ResponseController, body *requestBody, protocol int) bool {
	bounds := boundsOfWriters
	if !d.mayWrite {
		bounds = boundsOfStrangers
		defer strangers.Add(-1)
		if strangers.Add(1) > maxStrangers {
			return false
		}
	}
	idle := streamIdle
	if protocol == 1 {
		idle = connectionIdle
	}
	return body.discard(control, bounds, idle)
}

// isSmall tells whether a body is so small, or may be, that it is read before the
// answer. Streams of HTTP/2 and HTTP/3 leave their connection open anyway.
func isSmall(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.ContentLength <= smallBody && !ExpectsContinue(r)
}

// ExpectsContinue tells whether net/http waits with a 100 Continue until the body is
// read (RFC 9110 section 10.1.1): it takes a list, and knows none in HTTP/1.0.
func ExpectsContinue(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	for expectation := range strings.FieldsFuncSeq(r.Header.Get("Expect"), isListSpace) {
		if strings.EqualFold(expectation, "100-continue") {
			return true
		}
	}
	return false
}

func isListSpace(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

const copySize = 32 << 10 // how much is read at a time

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// requestBody knows how much of a body was read.
type requestBody struct {
	io.ReadCloser
	touched bool // a read was tried
	done    bool // it ended
	failed  bool // no more can be read of it

	received *atomic.Int64 // bytes of all bodies; nil when nobody counts

	progress atomic.Int64 // when a read last ended, for discard
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.touched = true
	n, err := b.ReadCloser.Read(p)
	if b.received != nil {
		b.received.Add(int64(n))
	}
	if err == io.EOF {
		b.done = true
	} else if err != nil {
		b.failed = true
	}
	return n, err
}

// readSmall reads a body that is small, and tells whether it was.
func (b *requestBody) readSmall(control *http.ResponseController) bool {
	if !b.discard(control, lingerBounds{smallBody + 1, smallBodyTime}, connectionIdle) {
		return false
	}
	_ = control.SetReadDeadline(time.Time{}) // the connection is used again
	return true
}

// discard reads until the body ends, a bound is met, no byte came for the idle time,
// or Caddy stops. It tells whether the body ended.
func (b *requestBody) discard(control *http.ResponseController, bounds lingerBounds, idle time.Duration) bool {
	if control.SetReadDeadline(time.Now().Add(bounds.time)) != nil {
		return false
	}
	b.progress.Store(time.Now().UnixNano())
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		b.watch(control, idle, ended)
	}()
	defer func() {
		close(ended)
		<-watched // which uses the connection
	}()
	buffer := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buffer)
	for left := bounds.bytes; left > 0 && !b.done && !b.failed; {
		n, _ := b.Read(buffer[:min(left, copySize)])
		b.progress.Store(time.Now().UnixNano())
		left -= int64(n)
	}
	return b.done
}

// watch ends the reading of a body of which no more comes, or when Caddy stops, which
// waits for every request.
func (b *requestBody) watch(control *http.ResponseController, idle time.Duration, ended <-chan struct{}) {
	ticker := time.NewTicker(min(idle, time.Second) / 6)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return
		case now := <-ticker.C:
			if caddy.Exiting() || now.UnixNano()-b.progress.Load() > int64(idle) {
				_ = control.SetReadDeadline(now)
			}
		}
	}
}
