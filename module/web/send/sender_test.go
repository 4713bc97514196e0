package send

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
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
				failure := Serve(w, r, Source{Size: size, Open: func(whole bool) (io.ReadSeekCloser, error) {
					opened++
					if whole != (test.status == http.StatusOK) {
						t.Errorf("opened for all of it: %v", whole)
					}
					return reader, nil
				}})
				if w.Code != test.status || isBrokenOff(failure) != test.fails || !test.fails && failure != nil {
					t.Errorf("got %d, %v; want %d, broken off: %v", w.Code, failure, test.status, test.fails)
				}
				if test.fails && err == fault && !errors.Is(failure, fault) {
					t.Errorf("error is %v, want %v", failure, fault)
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
		err := Serve(w, r, Source{Size: 10, Open: func(bool) (io.ReadSeekCloser, error) { return nil, fault }})
		w.WriteHeader(http.StatusTeapot)
		if err != fault || w.Code != http.StatusTeapot || w.Body.Len() > 0 {
			t.Errorf("%q: error is %v, sent %d %q; want %v and nothing", ranges, err, w.Code, w.Body, fault)
		}
	}
}
