package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
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
				if cause := context.Cause(w.Ctx); errors.Is(cause, errSilent) != test.silent || err != nil && !test.silent {
					t.Errorf("the request ends with %v, and reading with %v; silent: %t", cause, err, test.silent)
				}
			})
		})
	}
}

// TestADeadConnectionIsLeft, though HTTP/2 would send all further requests over it too.
// Seen to fail without pings.
func TestADeadConnectionIsLeft(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := newClient(1, 2*time.Second)
	defer c.Close()
	transport := c.http.Transport.(*http.Transport)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	var dialed []*deadly
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dialed = append(dialed, &deadly{Conn: connection})
		return dialed[len(dialed)-1], nil
	}
	place, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (bool, error) {
		request, err := c.Request(t.Context(), http.MethodGet, place, nil)
		if err != nil {
			return false, err
		}
		response, err := c.Answer(request)
		if err == nil && response.ProtoMajor != 2 {
			t.Errorf("the answer is of %s", response.Proto)
		}
		return false, err
	}
	if _, err := ask(); err != nil {
		t.Fatal(err)
	}
	dialed[0].dead.Store(true)
	if err := c.Patiently(t.Context(), "asking", ask); err != nil || len(dialed) != 2 {
		t.Errorf("%d connections were made, and %v; want 2 and no error", len(dialed), err)
	}
}

// deadly is a connection that can swallow what is sent.
type deadly struct {
	net.Conn
	dead atomic.Bool
}

func (d *deadly) Write(p []byte) (int, error) {
	if d.dead.Load() {
		return len(p), nil
	}
	return d.Conn.Write(p)
}
