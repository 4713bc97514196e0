package bucket

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// TestUploadsThatAreWritten: the time of every part counts, on every page of their list.
// Seen to fail with the first page only.
func TestUploadsThatAreWritten(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		pages [][]time.Duration // the age of each part
		want  bool
	}{
		{"no part", [][]time.Duration{{}}, false},
		{"old parts", [][]time.Duration{{48 * time.Hour, 30 * time.Hour}}, false},
		{"a new part after an old one", [][]time.Duration{{48 * time.Hour, time.Hour}}, true},
		{"a new part on the second page", [][]time.Duration{{48 * time.Hour}, {time.Hour}}, true},
		{"old parts on two pages", [][]time.Duration{{48 * time.Hour}, {47 * time.Hour}}, false},
		{"an upload that is gone", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.pages == nil {
					w.WriteHeader(http.StatusNotFound)
					fmt.Fprint(w, "<Error><Code>NoSuchUpload</Code></Error>")
					return
				}
				page := 0
				_, _ = fmt.Sscan(r.URL.Query().Get("part-number-marker"), &page)
				fmt.Fprintf(w, "<ListPartsResult><IsTruncated>%t</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker>", page+1 < len(test.pages), page+1)
				for i, age := range test.pages[page] {
					fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><LastModified>%s</LastModified></Part>", i+1, now.Add(-age).UTC().Format(time.RFC3339))
				}
				fmt.Fprint(w, "</ListPartsResult>")
			}))
			defer server.Close()
			got, err := bucketAt(t, server.URL).IsWritten(t.Context(), Multipart{"key", "u"}, now.Add(-24*time.Hour))
			if got != test.want || err != nil {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// TestACopyLeavesNoParts when it fails, and when the object is there already: nobody would go on
// with them. Seen to fail, each for itself, with a copy that leaves them.
func TestACopyLeavesNoParts(t *testing.T) {
	for _, test := range []struct {
		name, code string
		status     int
		want       error
	}{
		{"the server refuses to make an object of them", "InvalidPart", http.StatusBadRequest, ErrOtherParts},
		{"the object is there", "PreconditionFailed", http.StatusPreconditionFailed, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var dropped atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				switch query := r.URL.Query(); {
				case r.Method == http.MethodPost && query.Has("uploads"):
					fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
				case r.Method == http.MethodPut:
					fmt.Fprint(w, `<CopyPartResult><ETag>"tag"</ETag></CopyPartResult>`)
				case r.Method == http.MethodDelete && query.Get("uploadId") == "u":
					dropped.Add(1)
					w.WriteHeader(http.StatusNoContent)
				case r.Method == http.MethodHead && test.want == nil:
					w.Header().Set("Content-Length", strconv.Itoa(largestPut+1))
					w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
				default:
					w.WriteHeader(test.status)
					fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", test.code)
				}
			}))
			defer server.Close()
			err := bucketAt(t, server.URL).Copy(t.Context(), "to", "from", largestPut+1)
			if !errors.Is(err, test.want) || dropped.Load() != 1 {
				t.Errorf("error is %v, and the upload is dropped %d times, want %v and once", err, dropped.Load(), test.want)
			}
		})
	}
}
