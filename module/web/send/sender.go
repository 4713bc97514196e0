package send

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Source is what can be sent.
type Source struct {
	// Size in bytes.
	Size int64
	// Modified is what date conditions are compared with. Zero is no date.
	Modified time.Time
	// Open opens the bytes, at their beginning, for a section that the answer has of them. The
	// section is remote.Whole when the answer has all of them, in order, and without length
	// when it has several. It is called once, and only for an answer that has some bytes. The
	// reader is closed after the answer. It may be read by another goroutine than the
	// caller's, and once more while it is closed.
	Open func(want remote.Section) (io.ReadSeekCloser, error)
	// Elsewhere returns a link to the bytes, for answers that would have some of them. An
	// empty one has them sent. Nil for none. A request is sent elsewhere only when it has no
	// condition that would mean another thing there.
	Elsewhere func() (link string, err error)
	// Begun is called when the answer has bytes from the first one on, or the link to them.
	// Nil for nothing.
	Begun func()
	// Public is the Cache-Control of a 200, 206 or 304. Empty is what the caller has set.
	Public string
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
		elsewhere:             source.Elsewhere,
		public:                source.Public,
		content:               content{size: source.Size},
	}
	if comparesVersions(r.Header) {
		s.elsewhere = nil
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
	open    func(want remote.Section) (io.ReadSeekCloser, error)
	begun   func() // may be nil
	content content
	public  string
	refused error // why the bytes could not be opened; then nothing is written

	elsewhere  func() (link string, err error) // may be nil
	redirected bool                            // the answer is a link, and has no bytes
}

// comparesVersions tells whether a request has a condition or range that holds for one version of
// the bytes. Its client repeats the header where a link leads, and that server has other tags
// and dates. If-None-Match is none: no tag from here is one of there.
func comparesVersions(header http.Header) bool {
	return slices.ContainsFunc([]string{"If-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range"}, func(name string) bool {
		return header[name] != nil
	})
}

// errRedirected: the bytes are to be fetched elsewhere.
var errRedirected = errors.New("the bytes are elsewhere")

// WriteHeader implements http.ResponseWriter.
func (s *sender) WriteHeader(status int) {
	if s.request.Method != http.MethodHead && (status == http.StatusOK || status == http.StatusPartialContent) {
		fromFirst := status == http.StatusOK || strings.HasPrefix(s.Header().Get("Content-Range"), "bytes 0-") // which a link does not have
		if s.refused = s.find(status); s.refused != nil {
			return
		}
		if s.redirected {
			status = http.StatusFound
		}
		if s.begun != nil && fromFirst {
			s.begun()
		}
	}
	if s.public != "" && (status == http.StatusOK || status == http.StatusPartialContent || status == http.StatusNotModified) {
		s.Header().Set("Cache-Control", s.public)
	}
	if status >= http.StatusBadRequest {
		disown(s.Header())
	}
	s.ResponseWriterWrapper.WriteHeader(status)
}

// disown takes out of the header what would be said of the text of an error, and is of the
// bytes, as RFC 9530 shows for error responses. The entity tag stays with a 412, which is about it.
func disown(header http.Header) {
	for _, name := range []string{"Content-Disposition", "Digest", "Repr-Digest", "X-Checksum-Sha256"} {
		header.Del(name)
	}
}

// find opens the bytes, or has the client fetch them elsewhere.
func (s *sender) find(status int) error {
	if s.elsewhere != nil {
		link, err := s.elsewhere()
		if err != nil {
			return err
		}
		if link != "" {
			s.redirected = true
			redirect(s.Header(), link)
			return nil
		}
	}
	opened, err := s.open(s.section(status))
	if err == nil {
		s.content.begin(opened)
	}
	return err
}

// section is what an answer has of the bytes.
func (s *sender) section(status int) remote.Section {
	if status == http.StatusOK {
		return remote.Whole(s.content.size)
	}
	length, err := strconv.ParseInt(s.Header().Get("Content-Length"), 10, 64)
	if err != nil || s.Header().Get("Content-Range") == "" {
		return remote.Section{}
	}
	return remote.Section{Offset: s.content.at, Length: length}
}

// redirect makes the header of an answer that of a link. What it said was of the bytes, and
// nobody may keep the link, in which the permission to read is.
func redirect(header http.Header, link string) {
	disown(header)
	for _, name := range []string{"Accept-Ranges", "Content-Range", "Content-Type", "Etag", "Last-Modified"} {
		header.Del(name)
	}
	header.Set("Cache-Control", "private, no-store")
	header.Set("Content-Length", "0")
	header.Set("Location", link)
}

// isSilent tells why no bytes follow the header. Nil when they do.
func (s *sender) isSilent() error {
	if s.redirected {
		return errRedirected
	}
	return s.refused
}

// Write implements http.ResponseWriter.
func (s *sender) Write(p []byte) (int, error) {
	if err := s.isSilent(); err != nil {
		return 0, err
	}
	return s.ResponseWriterWrapper.Write(p)
}

// ReadFrom implements io.ReaderFrom. The kernel can send what http.ServeContent takes from
// the content itself; the parts of several ranges are copied.
func (s *sender) ReadFrom(from io.Reader) (int64, error) {
	if err := s.isSilent(); err != nil {
		return 0, err
	}
	limited, ok := from.(*io.LimitedReader)
	if !ok || limited.R != io.Reader(&s.content) {
		return s.ResponseWriterWrapper.ReadFrom(from)
	}
	sent, err := s.send(limited.N)
	limited.N -= sent
	return sent, err
}
