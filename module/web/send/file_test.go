package send

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestOnlyAnswersWithBytesOpenThem: what is answered out of the metadata opens no
// file, with verified reads and without. Bytes that are missing are found by who
// wants them, and from then on by everybody.
func TestOnlyAnswersWithBytesOpenThem(t *testing.T) {
	const size = 1000
	tag := EntityTag(sha256.Sum256(rangeContent(size)))
	const published, before, after = "Sun, 01 Mar 2026 12:00:00 GMT", "Sat, 28 Feb 2026 12:00:00 GMT", "Mon, 02 Mar 2026 12:00:00 GMT"
	for _, test := range []struct {
		name, method string
		headers      map[string]string
		status       int
		opens        bool
	}{
		{"a file", "GET", nil, 200, true},
		{"a range", "GET", map[string]string{"Range": "bytes=1-2"}, 206, true},
		{"two ranges", "GET", map[string]string{"Range": "bytes=1-2,4-5"}, 206, true},
		{"a range that is not one", "GET", map[string]string{"Range": "bytes=x"}, 416, false},
		{"a range behind the end", "GET", map[string]string{"Range": "bytes=1000-"}, 416, false},
		{"a range of another file", "GET", map[string]string{"Range": "bytes=1000-", "If-Range": `"other"`}, 200, true},
		{"a file that is known", "GET", map[string]string{"If-None-Match": tag}, 304, false},
		{"a file that is known, and others", "GET", map[string]string{"If-None-Match": `"other", W/` + tag}, 304, false},
		{"a file that is not the known one", "GET", map[string]string{"If-None-Match": `"other"`}, 200, true},
		{"a file that is not newer", "GET", map[string]string{"If-Modified-Since": published}, 304, false},
		{"a file that is newer", "GET", map[string]string{"If-Modified-Since": before}, 200, true},
		{"a file of another digest, not newer", "GET", map[string]string{"If-None-Match": `"other"`, "If-Modified-Since": after}, 200, true},
		{"a file if it is another", "GET", map[string]string{"If-Match": `"other"`}, 412, false},
		{"a file if it is that", "GET", map[string]string{"If-Match": tag}, 200, true},
		{"a file if it is older", "GET", map[string]string{"If-Unmodified-Since": before}, 412, false},
		{"a file if it is not newer", "GET", map[string]string{"If-Unmodified-Since": published}, 200, true},
		{"the head", "HEAD", nil, 200, false},
		{"the head of a range", "HEAD", map[string]string{"Range": "bytes=1-2"}, 206, false},
		{"the head of a file that is known", "HEAD", map[string]string{"If-None-Match": tag}, 304, false},
	} {
		for _, verify := range []bool{false, true} {
			reg, blobs := rottenRegistry(t, size)
			r := httptest.NewRequest(test.method, "/", nil)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w, _, err := get(reg, r, size, verify)
			if err != nil || w.Code != test.status || blobs.opened.Load() > 0 != test.opens {
				t.Errorf("%s: %d, %v; opened %d times", test.name, w.Code, err, blobs.opened.Load())
			}
			blobs.missing.Store(true)
			if w, _, err = get(reg, r, size, verify); test.opens != errors.Is(err, store.ErrDamaged) {
				t.Errorf("%s, of which there are no bytes: %d, %v", test.name, w.Code, err)
			}
			if _, _, err := get(reg, httptest.NewRequest(http.MethodGet, "/", nil), size, verify); !errors.Is(err, store.ErrDamaged) {
				t.Errorf("there are no bytes: %v", err)
			}
			if w, _, err = get(reg, r, size, verify); !errors.Is(err, store.ErrDamaged) || w.Body.Len() > 0 {
				t.Errorf("%s, known to have no bytes: %d, %v", test.name, w.Code, err)
			}
			blobs.missing.Store(false)
			publishSized(t, reg, strconv.Itoa(size)+"-again", size)
			blobs.opened.Store(0)
			if w, _, err = get(reg, r, size, verify); err != nil || w.Code != test.status || blobs.opened.Load() > 0 != test.opens {
				t.Errorf("%s, healed: %d, %v; opened %d times", test.name, w.Code, err, blobs.opened.Load())
			}
		}
	}
}
