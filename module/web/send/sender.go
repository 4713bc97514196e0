package send

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Source is what can be sent.
type Source struct {
	// Size in bytes.
	Size int64
	// Modified is what date conditions are compared with. Zero is no date.
	Modified time.Time
	// Open opens the bytes, at their beginning. It is called once, and only for an answer
	// that has some of them; whole tells that it has all of them, in order. The reader is
	// closed after the answer. It may be read by another goroutine than the caller's, and
	// once more while it is closed.
	Open func(whole bool) (io.ReadSeekCloser, error)
	// Begun is called when the answer has bytes from the first one on. Nil for nothing.
	Begun func()
}

// Serve answers a GET or HEAD with a source, to the conditions and ranges of the request.
// The caller has set Content-Type, and the validators that the source has. The error is that
// of Open, and nothing was written then, or a *visit.BrokenOff.
func Serve(w http.ResponseWriter, r *http.Request, source Source) error {
	s := &sender{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		request:               r,
		open:                  source.Open,
		begun:                 source.Begun,
		content:               content{size: source.Size},
	}
	defer s.content.close()
	http.ServeContent(s, trimRanges(r, source.Size), "", source.Modified, &s.content)
	if s.refused != nil {
		return s.refused
	}
	if failure := s.content.failure.Load(); failure != nil {
		return &visit.BrokenOff{Err: *failure}
	}
	return nil
}

// sender opens what it sends when the status of the answer is known.
type sender struct {
	caddyhttp.ResponseWriterWrapper
	request *http.Request
	open    func(whole bool) (io.ReadSeekCloser, error)
	begun   func() // may be nil
	content content
	refused error // why the bytes could not be opened; then nothing is written
}

// WriteHeader implements http.ResponseWriter.
func (s *sender) WriteHeader(status int) {
	if s.request.Method != http.MethodHead && (status == http.StatusOK || status == http.StatusPartialContent) {
		opened, err := s.open(status == http.StatusOK)
		if err != nil {
			s.refused = err
			return
		}
		s.content.begin(opened)
		if s.begun != nil && (status == http.StatusOK || strings.HasPrefix(s.Header().Get("Content-Range"), "bytes 0-")) {
			s.begun()
		}
	}
	s.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *sender) Write(p []byte) (int, error) {
	if s.refused != nil {
		return 0, s.refused
	}
	return s.ResponseWriterWrapper.Write(p)
}

// ReadFrom implements io.ReaderFrom. The kernel can send what http.ServeContent takes from
// the content itself; the parts of several ranges are copied.
func (s *sender) ReadFrom(from io.Reader) (int64, error) {
	if s.refused != nil {
		return 0, s.refused
	}
	limited, ok := from.(*io.LimitedReader)
	if !ok || limited.R != io.Reader(&s.content) {
		return s.ResponseWriterWrapper.ReadFrom(from)
	}
	sent, err := s.send(limited.N)
	limited.N -= sent
	return sent, err
}
