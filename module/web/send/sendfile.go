package send

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// leastSent is what the kernel is asked to send at least. To copy less costs no
	// more than asking.
	leastSent = 64 << 10

	// copySize is how much is copied at a time.
	copySize = 32 << 10

	// largeCopySize is that of largeCopyFrom bytes and more which are in no file: with
	// copySize, a large object of S3 took a fifth more time.
	largeCopySize = 128 << 10
	largeCopyFrom = 1 << 20

	// headSize is how much goes out together with the header.
	headSize = 512
)

var copyBuffers, largeCopyBuffers = newBuffers(copySize), newBuffers(largeCopySize)

func newBuffers(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		buffer := make([]byte, size)
		return &buffer
	}}
}

var (
	// errTail: what is left of a range is less than a piece that would be sent.
	errTail = errors.New("not enough is left to be sent by the kernel")

	// errFileEnded: the file had fewer bytes than it was opened with.
	errFileEnded = errors.New("the file ended before the bytes that were asked for")

	// errSentTooMuch: whoever is in front took pieces of another size than it said.
	errSentTooMuch = errors.New("more of the file was sent than was asked for")
)

// send sends the next bytes of the content. The kernel sends those of a file, with Caddy's
// idle timeouts in force. Caddy sends in pieces: it wraps its source in an io.LimitedReader,
// and so does http.ServeContent. Go unwraps only one of them to find a file, so ReadFrom
// removes that of ServeContent, and Caddy's stays.
//
// Go then obeys Caddy's limit and not ours. So the kernel gets whole pieces only, and the
// rest is copied.
func (s *sender) send(size int64) (sent int64, err error) {
	// Over TLS and HTTP/2 there is no connection that the kernel could send to.
	if s.content.file != nil && size >= headSize+leastSent && s.request.ProtoMajor == 1 && s.request.TLS == nil {
		if sent, err = s.sendLarge(size); err != nil {
			return sent, err
		}
	}
	copied, err := s.copy(size - sent)
	return sent + copied, err
}

// sendLarge sends the next bytes, but for fewer than leastSent at their end. Meanwhile
// Caddy's pieces have the size that the client's pace allows.
func (s *sender) sendLarge(size int64) (sent int64, err error) {
	// The writers in front wait for the first bytes before they let the header go,
	// net/http and encode among them, and would take them out of the first piece.
	if sent, err = s.copy(headSize); err != nil {
		return sent, err
	}
	if err := http.NewResponseController(s.ResponseWriter).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return sent, err
	}
	idle := s.idleTimeouts()
	if idle == nil {
		n, err := s.sendFrom(size-sent, io.LimitReader(s.content.file, size-sent))
		return sent + n, err
	}
	defer func(configured int) { idle.MaxChunk = configured }(idle.MaxChunk)
	pace := newPace(idle)
	for size-sent >= leastSent && err == nil {
		piece := min(pace.piece(), size-sent) // what is less than one is a piece of its own
		idle.MaxChunk = int(piece)
		start := time.Now()
		var n int64
		n, err = s.sendPieces(piece, min(pace.bytes(), size-sent))
		sent += n
		pace.saw(n, time.Since(start))
	}
	return sent, err
}

// sendPieces has the kernel send as much as makes whole pieces.
func (s *sender) sendPieces(piece, size int64) (sent int64, err error) {
	size -= size % piece
	pieces := s.content.pieces(size, piece)
	sent, err = s.sendFrom(size, pieces)
	if pieces.left < 0 {
		err = s.content.fail(errSentTooMuch)
	}
	return sent, err
}

// sendFrom sends size bytes that source has of the file.
func (s *sender) sendFrom(size int64, source io.Reader) (int64, error) {
	n, err := s.ResponseWriterWrapper.ReadFrom(source)
	s.content.sent(n)
	if n < size && err == nil {
		err = errFileEnded
	}
	if errors.Is(err, errFileEnded) || errors.Is(err, syscall.EIO) { // which no connection says
		_ = s.content.fail(err)
	}
	return n, err
}

// copy sends the next bytes through memory.
func (s *sender) copy(size int64) (copied int64, err error) {
	if size == 0 {
		return 0, nil
	}
	buffers := copyBuffers
	if s.content.file == nil && size >= largeCopyFrom {
		buffers = largeCopyBuffers
	}
	pooled := buffers.Get().(*[]byte)
	defer buffers.Put(pooled)
	buffer := *pooled
	for copied < size {
		read, err := s.content.Read(buffer[:min(size-copied, int64(len(buffer)))])
		written, writeErr := s.Write(buffer[:read])
		copied += int64(written)
		if writeErr != nil {
			return copied, writeErr
		}
		if err != nil && copied < size {
			return copied, err
		}
	}
	return copied, nil
}

// idleTimeouts returns Caddy's writer that has the idle timeouts of the response, if
// this one writes to it.
func (s *sender) idleTimeouts() *caddyhttp.IdleTimeoutWriter {
	_, idle := caddyhttp.IdleTimeoutsFromContext(s.request.Context())
	if idle == nil {
		return nil
	}
	for next := s.ResponseWriter; next != http.ResponseWriter(idle); {
		wrapper, ok := next.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		next = wrapper.Unwrap()
	}
	return idle
}
