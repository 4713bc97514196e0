package s3

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestNobodyWaitsForAnothersCopy to the quarantine for longer than they want to. Seen to fail with a
// mutex, whose second caller hears nothing before the first one does.
func TestNobodyWaitsForAnothersCopy(t *testing.T) {
	copying := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			close(copying)
			<-r.Context().Done()
			return
		}
		answering{status: http.StatusOK, body: "four", header: map[string]string{"Last-Modified": "Mon, 02 Jan 2006 15:04:05 GMT", "ETag": `"a"`, "Content-Length": "4"}}.ServeHTTP(w, r)
	}))
	defer server.Close()
	s := storeAt(t, server.URL, time.Second)
	locator := store.NewLocator(1)
	first, leave := context.WithCancel(t.Context())
	defer leave()
	done := make(chan error, 1)
	go func() { done <- s.Quarantine(first, locator) }()
	<-copying
	second, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Quarantine(second, locator); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the second one: error is %v, want %v", err, context.DeadlineExceeded)
	}
	select {
	case err := <-done:
		t.Fatalf("the second one waited for the first one, whose error is %v", err)
	default:
	}
	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first one: error is %v, want %v", err, context.Canceled)
	}
}
