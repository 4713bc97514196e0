package visit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestATimeoutIsThatOfTheClientOrOfTheStore: 408 says that the client was too slow, and is for
// errors of the body only. A store that does not answer is 503.
func TestATimeoutIsThatOfTheClientOrOfTheStore(t *testing.T) {
	slowServer := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"the body came too slowly", &store.BodyError{Err: os.ErrDeadlineExceeded}, http.StatusRequestTimeout},
		{"the body came too slowly, wrapped", fmt.Errorf("publishing: %w", &store.BodyError{Err: fmt.Errorf("reading: %w", slowServer)}), http.StatusRequestTimeout},
		{"the body failed", &store.BodyError{Err: errors.New("cut")}, http.StatusBadRequest},
		{"a store's server is slow", fmt.Errorf("looking up file: %w", slowServer), http.StatusServiceUnavailable},
		{"a store's disk is slow", fmt.Errorf("committing blob: %w", os.ErrDeadlineExceeded), http.StatusServiceUnavailable},
		{"a store's deadline", fmt.Errorf("publishing: %w", context.DeadlineExceeded), http.StatusServiceUnavailable},
		{"the client is gone", fmt.Errorf("looking up file: %w", context.Canceled), http.StatusServiceUnavailable},
		{"a store fails", errors.New("input/output error"), http.StatusInternalServerError},
		{"a store is unavailable and slow", errors.Join(store.ErrUnavailable, os.ErrDeadlineExceeded), http.StatusServiceUnavailable},
	} {
		if got, text, _ := statusOf(test.err); got != test.want {
			t.Errorf("%s: status is %d (%s), want %d", test.name, got, text, test.want)
		}
	}
}
