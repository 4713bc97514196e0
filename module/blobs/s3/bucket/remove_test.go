package bucket

import (
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestManyBatchesMayTakeLongerThanTheTimeout to delete, when the server answers each in time. Seen
// to fail with one clock for all of them.
func TestManyBatchesMayTakeLongerThanTheTimeout(t *testing.T) {
	const timeout = time.Second
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Object []struct{ Key string } }
		if err := xml.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		<-time.After(timeout * 6 / 10)
		fmt.Fprint(w, "<DeleteResult>")
		for _, object := range asked.Object {
			fmt.Fprintf(w, "<Deleted><Key>%s</Key></Deleted>", object.Key)
		}
		fmt.Fprint(w, "</DeleteResult>")
	}))
	defer server.Close()
	var keys []string
	for i := range 3000 {
		keys = append(keys, fmt.Sprint(i))
	}
	gone, err := bucketWith(t, server.URL, SmallestPart, timeout).RemoveAll(t.Context(), keys)
	if err != nil || !slices.Equal(gone, keys) {
		t.Errorf("%d keys are gone, %v; want %d", len(gone), err, len(keys))
	}
}

// TestAKeyThatIsAbsentIsGone on a server that is asked for one key at a time too, where the library
// says nothing of it. Seen to fail with the keys of which something is said.
func TestAKeyThatIsAbsentIsGone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, status := "", http.StatusNoContent
		switch {
		case strings.Contains(r.URL.Path, "absent"):
			code, status = "NoSuchKey", http.StatusNotFound
		case strings.Contains(r.URL.Path, "locked"):
			code, status = "AccessDenied", http.StatusForbidden
		}
		w.WriteHeader(status)
		if code != "" {
			fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
		}
	}))
	defer server.Close()
	b := bucketAt(t, server.URL)
	settings := b.connected.Load().Settings
	settings.Server.Host = "storage.googleapis.com"
	if err := b.Adjust(settings); err != nil {
		t.Fatal(err)
	}
	b.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	for _, test := range []struct {
		keys, gone []string
		fails      bool
	}{
		{[]string{"absent-1", "there", "absent-2"}, []string{"absent-1", "there", "absent-2"}, false},
		{[]string{"absent-1", "locked", "there"}, []string{"there"}, true},
	} {
		gone, err := b.RemoveAll(t.Context(), test.keys)
		if (err != nil) != test.fails || !slices.Equal(gone, test.gone) {
			t.Errorf("of %v, %v are gone, %v; want %v", test.keys, gone, err, test.gone)
		}
	}
}
