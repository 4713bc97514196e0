package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// slowly gives a byte each time, after a wait, and counts those that are left.
type slowly struct {
	wait time.Duration
	left int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.wait) // of the test's own clock
	s.left--
	return copy(p[:1], "x"), nil
}

// TestTheWatchdog ends only what stands still for longer than its limit, and does not count
// what the disks of this machine take.
// Seen to fail without each of the four places where the clock stops or begins anew.
func TestTheWatchdog(t *testing.T) {
	const limit = time.Minute
	for name, test := range map[string]struct {
		reads  func(w *watchdog) error
		silent bool
	}{
		"a slow answer": {func(w *watchdog) error {
			_, err := io.Copy(io.Discard, &receivedBody{io.NopCloser(&slowly{limit - 1, 10}), w})
			return err
		}, false},
		"an answer that stands still": {func(w *watchdog) error {
			_, err := io.Copy(io.Discard, &receivedBody{io.NopCloser(io.MultiReader(&slowly{0, 1}, &slowly{limit + 1, 1})), w})
			return err
		}, true},
		"an answer that is read slowly": {func(w *watchdog) error {
			body := &receivedBody{io.NopCloser(&slowly{0, 2}), w}
			_, err := body.Read(make([]byte, 1))
			time.Sleep(2 * limit)
			return err
		}, false},
		"a slow disk": {func(w *watchdog) error {
			body := w.over(&http.Request{Body: io.NopCloser(&slowly{2 * limit, 2})}).Body
			_, err := body.Read(make([]byte, 1))
			time.Sleep(limit - 1)
			return err
		}, false},
		"a server that takes no more": {func(w *watchdog) error {
			body := w.over(&http.Request{Body: io.NopCloser(&slowly{0, 2})}).Body
			_, err := body.Read(make([]byte, 1))
			time.Sleep(limit + 1)
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := watch(t.Context(), limit)
				defer w.end()
				err := test.reads(w)
				synctest.Wait()
				if cause := context.Cause(w.ctx); errors.Is(cause, errSilent) != test.silent || err != nil && !test.silent {
					t.Errorf("the request ends with %v, and reading with %v; silent: %t", cause, err, test.silent)
				}
			})
		})
	}
}
