package bucket

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// TestAStreamThatBreaks goes on once, at its offset.
func TestAStreamThatBreaks(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	for _, test := range []struct {
		name     string
		breaks   int
		requests []string
		fails    bool
	}{
		{"once", 1, []string{"", "bytes=500000-999999"}, false},
		{"twice", 2, []string{"", "bytes=500000-999999"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ranges []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ranges = append(ranges, r.Header.Get("Range"))
				if len(ranges) > test.breaks {
					http.ServeContent(w, r, "", time.Now(), strings.NewReader(content))
					return
				}
				connection, buffered, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer connection.Close()
				breakOff(buffered, r, content)
			}))
			defer server.Close()
			b := bucketAt(t, server.URL)
			reader, err := b.Open(t.Context(), "key", int64(len(content)), remote.Whole(int64(len(content))))
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			got, err := io.ReadAll(reader)
			if test.fails {
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("reading: error is %v, want %v", err, store.ErrUnavailable)
				}
			} else if err != nil || string(got) != content {
				t.Errorf("read %d bytes, %v; want all %d", len(got), err, len(content))
			}
			if fmt.Sprint(ranges) != fmt.Sprint(test.requests) {
				t.Errorf("asked for %q, want %q", ranges, test.requests)
			}
		})
	}
}

// breakOff answers with half of what is wanted.
func breakOff(w *bufio.ReadWriter, r *http.Request, content string) {
	from := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		fmt.Fprintf(w, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n", from, len(content)-1, len(content))
	} else {
		fmt.Fprint(w, "HTTP/1.1 200 OK\r\n")
	}
	rest := content[from:]
	fmt.Fprintf(w, "Last-Modified: %s\r\nETag: \"a\"\r\nContent-Length: %d\r\n\r\n%s", time.Now().UTC().Format(http.TimeFormat), len(rest), rest[:len(rest)/2])
	w.Flush()
}
