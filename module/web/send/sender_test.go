package send

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// failingReader gives what it has and then its error, as a reader over the network does.
type failingReader struct {
	*bytes.Reader
	err    error
	closed int
}

func (r *failingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		err = r.err
	}
	return n, err
}

func (r *failingReader) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 0, errors.New("seeking to the end of something that may be endless")
	}
	return r.Reader.Seek(offset, whence)
}

func (r *failingReader) Close() error {
	r.closed++
	return nil
}

// TestReadersThatFail: whatever is read, and whichever part of it is wanted, an answer that
// ends before its end is broken off, and one that does not reach the fault is whole.
// Seen to fail with an end of the reader that is no failure, and with failures of the parts
// of several ranges that are not noted.
func TestReadersThatFail(t *testing.T) {
	const size, sound = 200_000, 100_000
	fault := errors.New("connection reset")
	for _, test := range []struct {
		ranges string
		status int
		fails  bool
	}{
		{"", http.StatusOK, true},
		{"bytes=0-99999", http.StatusPartialContent, false},
		{"bytes=0-100000", http.StatusPartialContent, true},
		{"bytes=150000-", http.StatusPartialContent, true},
		{"bytes=0-9,20-29", http.StatusPartialContent, false},
		{"bytes=0-9,150000-150009", http.StatusPartialContent, true},
		{"bytes=150000-150009,0-9", http.StatusPartialContent, true},
		{"bytes=200000-", http.StatusRequestedRangeNotSatisfiable, false},
	} {
		for _, err := range []error{fault, io.EOF, io.ErrUnexpectedEOF} {
			t.Run(fmt.Sprint(test.ranges, " ", err), func(t *testing.T) {
				reader := &failingReader{Reader: bytes.NewReader(rangeContent(sound)), err: err}
				opened := 0
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				if test.ranges != "" {
					r.Header.Set("Range", test.ranges)
				}
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/octet-stream")
				failure := Serve(w, r, Source{Size: size, Open: func(want remote.Section) (io.ReadSeekCloser, error) {
					opened++
					if whole := want == remote.Whole(size); whole != (test.status == http.StatusOK) {
						t.Errorf("opened for all of it: %v", whole)
					}
					if single := w.Header().Get("Content-Range"); single != "" && single != fmt.Sprintf("bytes %d-%d/%d", want.Offset, want.Offset+want.Length-1, size) {
						t.Errorf("opened for %v, want %s", want, single)
					}
					return reader, nil
				}})
				if w.Code != test.status || isBrokenOff(failure) != test.fails || !test.fails && failure != nil {
					t.Errorf("got %d, %v; want %d, broken off: %v", w.Code, failure, test.status, test.fails)
				}
				if broken := new(visit.BrokenOff); errors.As(failure, &broken) && err == fault && !errors.Is(broken.Err, fault) {
					t.Errorf("error is %v, want %v", broken.Err, fault)
				}
				if needed := test.status != http.StatusRequestedRangeNotSatisfiable; opened > 1 || (opened == 1) != needed || reader.closed != opened {
					t.Errorf("opened %d times, closed %d times; want once: %v", opened, reader.closed, needed)
				}
			})
		}
	}
}

// TestBytesThatCannotBeOpened: nothing is written, so that the error can be answered.
func TestBytesThatCannotBeOpened(t *testing.T) {
	fault := errors.New("no such object")
	for _, ranges := range []string{"", "bytes=1-2", "bytes=1-2,5-6"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/octet-stream")
		err := Serve(w, r, Source{Size: 10, Open: func(remote.Section) (io.ReadSeekCloser, error) { return nil, fault }})
		w.WriteHeader(http.StatusTeapot)
		if err != fault || w.Code != http.StatusTeapot || w.Body.Len() > 0 {
			t.Errorf("%q: error is %v, sent %d %q; want %v and nothing", ranges, err, w.Code, w.Body, fault)
		}
	}
}

// TestBytesThatAreElsewhere: conditions and ranges that cannot be satisfied are answered here,
// and only a GET that would have bytes is sent elsewhere, without a condition that the server
// there would judge by its own tags and dates.
//
// Seen to fail with requests that have such a condition and are sent elsewhere, and with links
// that are no downloads.
func TestBytesThatAreElsewhere(t *testing.T) {
	const before, after = "Sat, 28 Feb 2026 12:00:00 GMT", "Mon, 02 Mar 2026 12:00:00 GMT"
	const link = "https://s3.example.com/a?X-Amz-Signature=secret"
	fault := errors.New("no key to sign with")
	for _, test := range []struct {
		name, method, header, value, link string
		fault                             error
		status                            int
	}{
		{"all of it", http.MethodGet, "", "", link, nil, http.StatusFound},
		{"a range", http.MethodGet, "Range", "bytes=1-2", link, nil, http.StatusFound},
		{"a range from the first byte on", http.MethodGet, "Range", "bytes=0-2", link, nil, http.StatusFound},
		{"several ranges", http.MethodGet, "Range", "bytes=1-2,5-6", link, nil, http.StatusFound},
		{"a HEAD", http.MethodHead, "", "", link, nil, http.StatusOK},
		{"a condition", http.MethodGet, "If-None-Match", `"tag"`, link, nil, http.StatusNotModified},
		{"a range beyond the end", http.MethodGet, "Range", "bytes=10-", link, nil, http.StatusRequestedRangeNotSatisfiable},
		{"a condition that holds", http.MethodGet, "If-Match", `"tag"`, link, nil, http.StatusOK},
		{"a condition of another tag", http.MethodGet, "If-None-Match", `"other"`, link, nil, http.StatusFound},
		{"a date that holds", http.MethodGet, "If-Unmodified-Since", after, link, nil, http.StatusOK},
		{"a date of an older version", http.MethodGet, "If-Modified-Since", before, link, nil, http.StatusOK},
		{"a range of that version", http.MethodGet, "If-Range", `"tag"`, link, nil, http.StatusPartialContent},
		{"a range of another version", http.MethodGet, "If-Range", `"other"`, link, nil, http.StatusOK},
		{"no link", http.MethodGet, "", "", "", nil, http.StatusOK},
		{"a link that cannot be made", http.MethodGet, "", "", "", fault, http.StatusTeapot},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/", nil)
			if test.header != "" {
				r.Header.Set(test.header, test.value)
			}
			if test.header == "If-Range" {
				r.Header.Set("Range", "bytes=1-2")
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Etag", `"tag"`)
			w.Header().Set("Cache-Control", "public")
			opened, begun := 0, 0
			err := Serve(w, r, Source{
				Size:     10,
				Modified: time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC),
				Open: func(remote.Section) (io.ReadSeekCloser, error) {
					opened++
					return &failingReader{Reader: bytes.NewReader(make([]byte, 10))}, nil
				},
				Elsewhere: func() (string, error) { return test.link, test.fault },
				Begun:     func() { begun++ },
			})
			if err != test.fault {
				t.Fatalf("error is %v, want %v", err, test.fault)
			}
			if err != nil {
				w.WriteHeader(http.StatusTeapot)
			}
			if w.Code != test.status {
				t.Fatalf("status is %d, want %d", w.Code, test.status)
			}
			has := test.method == http.MethodGet && (test.status == http.StatusOK || test.status == http.StatusFound && (test.header != "Range" || strings.HasPrefix(test.value, "bytes=0-")))
			if (begun == 1) != has {
				t.Errorf("begun %d times; it has bytes from the first one on: %v", begun, has)
			}
			redirected := test.status == http.StatusFound
			if location := w.Header().Get("Location"); (location == link) != redirected || redirected && (opened > 0 || w.Body.Len() > 0) {
				t.Errorf("Location is %q, opened %d times, %d bytes", location, opened, w.Body.Len())
			}
			if got := w.Header().Get("Cache-Control"); redirected && (got != "private, no-store" || w.Header().Get("Etag") != "") {
				t.Errorf("Cache-Control is %q, Etag %q", got, w.Header().Get("Etag"))
			}
		})
	}
}
