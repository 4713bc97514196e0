//go:build unix

package send

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// kernelResponse is a response over a connection to which the kernel can send
// files: it treats its source as net/http and net do.
type kernelResponse struct {
	*httptest.ResponseRecorder
	began  bool
	kernel int64 // bytes that were sent without being read
	room   int64 // bytes until the client is gone
}

func (k *kernelResponse) Write(p []byte) (int, error) {
	k.began = true
	taken := min(int64(len(p)), k.room)
	k.room -= taken
	n, _ := k.ResponseRecorder.Write(p[:taken])
	if n < len(p) {
		return n, syscall.EPIPE
	}
	return n, nil
}

func (k *kernelResponse) ReadFrom(source io.Reader) (n int64, err error) {
	if !k.began {
		n, err = io.Copy(struct{ io.Writer }{k}, io.LimitReader(source, 512))
		if n < 512 || err != nil {
			return n, err
		}
	}
	sent, err, handled := k.sendFile(source)
	if !handled {
		sent, err = io.Copy(struct{ io.Writer }{k}, source)
	}
	return n + sent, err
}

// sendFile looks through one limit, and then heeds no other.
func (k *kernelResponse) sendFile(source io.Reader) (sent int64, err error, handled bool) {
	limit := int64(1 << 40)
	limited, isLimited := source.(*io.LimitedReader)
	if isLimited {
		limit, source = limited.N, limited.R
		if limit <= 0 {
			return 0, nil, true
		}
	}
	file, ok := source.(syscall.Conn)
	if !ok {
		return 0, nil, false
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return 0, nil, false
	}
	var writeErr error
	err = conn.Read(func(descriptor uintptr) bool {
		buffer := make([]byte, 100_000)
		for sent < limit && writeErr == nil {
			var read, wrote int
			read, writeErr = syscall.Read(int(descriptor), buffer[:min(limit-sent, int64(len(buffer)))])
			if read <= 0 {
				break
			}
			wrote, writeErr = k.Write(buffer[:read])
			sent += int64(wrote)
		}
		return true
	})
	k.kernel += sent
	if isLimited {
		limited.N -= sent
	}
	if err == nil {
		err = writeErr
	}
	return sent, err, true
}

// sniffingWriter takes the first bytes of what it sends, as encode does.
type sniffingWriter struct {
	caddyhttp.ResponseWriterWrapper
	wrote bool
}

func (w *sniffingWriter) Write(p []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(p)
}

func (w *sniffingWriter) FlushError() error {
	if !w.wrote {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *sniffingWriter) ReadFrom(source io.Reader) (n int64, err error) {
	if !w.wrote {
		n, err = io.Copy(struct{ io.Writer }{w}, io.LimitReader(source, 512))
		if n < 512 || err != nil {
			return n, err
		}
	}
	sent, err := w.ResponseWriterWrapper.ReadFrom(source)
	return n + sent, err
}

// plainWriter has nothing but what every response has.
type plainWriter struct{ http.ResponseWriter }

// unwrappingWriter sends as its response does, and hides that it can.
type unwrappingWriter struct{ http.ResponseWriter }

func (w unwrappingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// downloadCase is a download through a chain of writers.
type downloadCase struct {
	size, first, last int64
	chunk             int // of Caddy's writer; -1: there is none
	shrunk            int64
	room              int64
	http2             bool
	wrappers          []string
}

func drawDownload(t *rapid.T) downloadCase {
	// Most of what can go wrong is about borders, of files that have several pieces.
	near := func(label string, low, high int64, borders ...int64) int64 {
		border := rapid.SampledFrom(append(borders, 0, high)).Draw(t, label+" near")
		return max(low, min(high, border+rapid.Int64Range(-600, 600).Draw(t, label+" off")))
	}
	c := downloadCase{size: near("size", 1, 1<<19, 1<<18, 300_000, 1<<17, 1<<16)}
	c.first = near("first", 0, c.size-1, 4096, 1<<16)
	c.last = c.first + near("length", 1, c.size-c.first, 150_000, 1<<18, 1<<17, 70_000, 1<<16) - 1
	chunks := []int{0, 1 << 16, 4096, 70_000, -1, 1 << 20, 1 << 18, 1000}
	c.chunk = chunks[rapid.IntRange(0, len(chunks)-1).Draw(t, "chunk")]
	c.shrunk, c.room = c.size, 1<<40
	switch rapid.IntRange(0, 7).Draw(t, "fault") {
	case 5:
		c.shrunk = near("shrunk", 0, c.size, 1<<16, 1<<17, 1<<18)
	case 6:
		c.room = near("room", 0, c.size, 1<<16, 1<<17, 1<<18)
	case 7:
		c.http2 = true
	}
	kinds := []string{"recorder", "sniffing", "plain", "unwrapping"}
	c.wrappers = rapid.SliceOfN(rapid.SampledFrom(kinds), 0, 2).Draw(t, "wrappers")
	return c
}

// serve sends the case's range of a file and tells what the client got.
func (c downloadCase) serve(t *rapid.T, file *os.File) (response *kernelResponse, err error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if c.http2 {
		r.ProtoMajor, r.ProtoMinor = 2, 0
	}
	if c.first > 0 || c.last < c.size-1 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", c.first, c.last))
	}
	response = &kernelResponse{ResponseRecorder: httptest.NewRecorder(), room: c.room}
	w := http.ResponseWriter(response)
	if c.chunk >= 0 {
		idle := &caddyhttp.IdleTimeoutWriter{
			ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
			Ctrl:                  http.NewResponseController(w),
			Deadline:              caddyhttp.IdleDeadline{Start: time.Now(), Timeout: time.Minute},
			MaxChunk:              c.chunk,
			Logger:                zap.NewNop(),
		}
		r = r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle))
		w = idle
		defer func() {
			if idle.MaxChunk != c.chunk {
				t.Errorf("Caddy's pieces are left at %d", idle.MaxChunk)
			}
		}()
	}
	for _, kind := range c.wrappers {
		switch kind {
		case "recorder":
			w = caddyhttp.NewResponseRecorder(w, nil, nil)
		case "sniffing":
			w = &sniffingWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
		case "plain":
			w = plainWriter{w}
		case "unwrapping":
			w = unwrappingWriter{w}
		}
	}
	return response, serveFile(w, r, file, c.size)
}

// serveFile answers with a file that is open.
func serveFile(w http.ResponseWriter, r *http.Request, file *os.File, size int64) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	return Serve(w, r, Source{Size: size, Open: func(remote.Section) (io.ReadSeekCloser, error) { return file, nil }})
}

// usesTheKernel tells whether nothing is in the way of the kernel.
func (c downloadCase) usesTheKernel() bool {
	for _, kind := range c.wrappers {
		if kind == "plain" || kind == "unwrapping" {
			return false
		}
	}
	return !c.http2
}

// TestRangesThroughAnyWriters: whatever writers are in front and whatever pieces
// they make, a client gets the bytes that it asked for, in order and no others; of a
// file that has become shorter, and when it is gone itself, the first of them. All
// but the odd bytes of a large range are the kernel's to send.
func TestRangesThroughAnyWriters(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	content := make([]byte, 1<<19)
	for i := range content {
		content[i] = byte(i*7 ^ i>>8 ^ i>>16)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := drawDownload(t)
		if err := os.WriteFile(name, content[:c.shrunk], 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		response, failure := c.serve(t, file)
		got, want := response.Body.Bytes(), content[c.first:c.last+1]
		switch {
		case !bytes.HasPrefix(want, got):
			t.Fatalf("%+v: %d bytes that are not the first of %d", c, len(got), len(want))
		case c.shrunk <= c.last && c.room >= c.size:
			if !isBrokenOff(failure) || int64(len(got)) != max(0, c.shrunk-c.first) {
				t.Fatalf("%+v: the file ended: %d bytes and %v", c, len(got), failure)
			}
		case failure != nil:
			t.Fatalf("%+v: %v", c, failure)
		case c.room >= c.size && len(got) != len(want):
			t.Fatalf("%+v: %d bytes of %d", c, len(got), len(want))
		}
		least := int64(len(want)) - headSize - leastSent
		if c.usesTheKernel() && c.shrunk == c.size && c.room >= c.size && response.kernel < least {
			t.Fatalf("%+v: the kernel sent %d of %d bytes", c, response.kernel, len(want))
		}
		if c.http2 && response.kernel > 0 {
			t.Fatalf("%+v: HTTP/2 has no connection of its own", c)
		}
	})
}

// TestSeveralRangesThroughTheFileWriter: the parts are copied, whatever Caddy does.
func TestSeveralRangesThroughTheFileWriter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	content := rangeContent(200_000)
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=100000-190000,5-9,150-1500")
	w := &kernelResponse{ResponseRecorder: httptest.NewRecorder(), room: 1 << 40}
	if err := serveFile(w, r, file, 200_000); err != nil {
		t.Fatal(err)
	}
	checkRangeAnswer(t, w.ResponseRecorder, content, false, 3)
	if w.Code != http.StatusPartialContent {
		t.Errorf("status %d", w.Code)
	}
}

// strayingWriter passes Caddy's writer by.
type strayingWriter struct {
	http.ResponseWriter
	past io.ReaderFrom
}

func (w strayingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w strayingWriter) ReadFrom(source io.Reader) (int64, error) { return w.past.ReadFrom(source) }

// TestPiecesThatAreNotAsAgreed: a writer that takes other pieces than Caddy's makes
// is noticed, and the connection ends before anything else is sent.
func TestPiecesThatAreNotAsAgreed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, make([]byte, 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	response := &kernelResponse{ResponseRecorder: httptest.NewRecorder(), room: 1 << 40}
	idle := &caddyhttp.IdleTimeoutWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: response},
		Ctrl:                  http.NewResponseController(response),
		Logger:                zap.NewNop(),
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Range", "bytes=0-199999")
	r = r.WithContext(caddyhttp.ContextWithIdleTimeouts(r.Context(), nil, idle))
	if err := serveFile(strayingWriter{idle, response}, r, file, 300_000); !isBrokenOff(err) {
		t.Errorf("error is %v, want that the answer is broken off", err)
	}
}

func isBrokenOff(err error) bool {
	broken := new(visit.BrokenOff)
	return errors.As(err, &broken)
}
