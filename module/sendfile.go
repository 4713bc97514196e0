package module

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

	// headSize is how much goes out together with the header.
	headSize = 512
)

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

var (
	// errTail: what is left of a range is less than a piece that would be sent.
	errTail = errors.New("not enough is left to be sent by the kernel")

	// errFileEnded: the file had fewer bytes than it was opened with.
	errFileEnded = errors.New("the file ended before the bytes that were asked for")

	// errSentTooMuch: whoever is in front took pieces of another size than it said.
	errSentTooMuch = errors.New("more of the file was sent than was asked for")
)

// fileWriter lets the kernel send ranges of a file, with Caddy's idle timeouts in
// force. Caddy sends in pieces: it wraps its source in an io.LimitedReader, and so
// does http.ServeContent; Go looks through one of them for a file. This one takes
// ServeContent's away.
//
// Go then sends as much as Caddy's limit says, whatever ours is. So the kernel gets
// whole pieces only, and the rest is copied.
type fileWriter struct {
	caddyhttp.ResponseWriterWrapper
	content *fileContent
	request *http.Request

	// failure is why bytes that were promised could not be read.
	failure error
}

func newFileWriter(w http.ResponseWriter, r *http.Request, content *fileContent) *fileWriter {
	return &fileWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, content: content, request: r}
}

// ReadFrom implements io.ReaderFrom.
func (w *fileWriter) ReadFrom(source io.Reader) (int64, error) {
	limited, ok := source.(*io.LimitedReader)
	if !ok || limited.R != io.Reader(w.content) {
		return w.ResponseWriterWrapper.ReadFrom(source) // the parts of several ranges
	}
	sent, err := w.send(limited.N)
	limited.N -= sent
	return sent, err
}

// send sends the next bytes of the file.
func (w *fileWriter) send(size int64) (sent int64, err error) {
	// Otherwise there is no connection that the kernel could send to.
	if size >= headSize+leastSent && w.request.ProtoMajor == 1 && w.request.TLS == nil {
		if sent, err = w.sendLarge(size); err != nil {
			return sent, err
		}
	}
	copied, err := w.copy(size - sent)
	return sent + copied, err
}

// sendLarge sends the next bytes, but for fewer than leastSent at their end. Meanwhile
// Caddy's pieces have the size that the client's pace allows.
func (w *fileWriter) sendLarge(size int64) (sent int64, err error) {
	// The writers in front wait for the first bytes before they let the header go,
	// net/http and encode among them, and would take them out of the first piece.
	if sent, err = w.copy(headSize); err != nil {
		return sent, err
	}
	if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return sent, err
	}
	idle := w.idleTimeouts()
	if idle == nil {
		n, err := w.settle(size-sent, io.LimitReader(w.content.file, size-sent))
		return sent + n, err
	}
	defer func(configured int) { idle.MaxChunk = configured }(idle.MaxChunk)
	pace := newPace(idle)
	for size-sent >= leastSent && err == nil {
		piece := min(pace.piece(), size-sent) // what is less than one is a piece of its own
		idle.MaxChunk = int(piece)
		start := time.Now()
		var n int64
		n, err = w.sendPieces(piece, min(pace.bytes(), size-sent))
		sent += n
		pace.saw(n, time.Since(start))
	}
	return sent, err
}

// sendPieces has the kernel send as much as makes whole pieces.
func (w *fileWriter) sendPieces(piece, size int64) (sent int64, err error) {
	size -= size % piece
	pieces := w.content.pieces(size, piece)
	sent, err = w.settle(size, pieces)
	if pieces.left < 0 {
		w.failure = errSentTooMuch
		err = errSentTooMuch
	}
	return sent, err
}

// settle sends size bytes that source has of the file.
func (w *fileWriter) settle(size int64, source io.Reader) (int64, error) {
	n, err := w.ResponseWriterWrapper.ReadFrom(source)
	w.content.sent(n)
	if n < size && err == nil {
		err = errFileEnded
	}
	if errors.Is(err, errFileEnded) || errors.Is(err, syscall.EIO) { // which no connection says
		w.failure = err
	}
	return n, err
}

// copy sends the next bytes of the file through memory.
func (w *fileWriter) copy(size int64) (copied int64, err error) {
	if size == 0 {
		return 0, nil
	}
	buffer := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buffer)
	for copied < size {
		read, err := w.content.Read(buffer[:min(size-copied, copySize)])
		written, writeErr := w.Write(buffer[:read])
		copied += int64(written)
		if writeErr != nil {
			return copied, writeErr
		}
		if err == io.EOF && copied < size {
			err = errFileEnded
		}
		if err != nil && copied < size {
			w.failure = err
			return copied, err
		}
	}
	return copied, nil
}

// idleTimeouts returns Caddy's writer that has the idle timeouts of the response, if
// this one writes to it.
func (w *fileWriter) idleTimeouts() *caddyhttp.IdleTimeoutWriter {
	_, idle := caddyhttp.IdleTimeoutsFromContext(w.request.Context())
	if idle == nil {
		return nil
	}
	for next := w.ResponseWriter; next != http.ResponseWriter(idle); {
		wrapper, ok := next.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		next = wrapper.Unwrap()
	}
	return idle
}
