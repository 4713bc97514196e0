package client

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serving starts a server, which ends with the test and logs nothing.
func serving(t *testing.T, encrypted bool, handler http.HandlerFunc) (base string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if encrypted {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.URL
}

// TestWrongAddressesAreNotTriedAgain, because they stay wrong.
// Seen to fail for each of them when its error passes.
func TestWrongAddressesAreNotTriedAgain(t *testing.T) {
	nothing := func(http.ResponseWriter, *http.Request) {}
	sends := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			connection, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte("SSH-2.0-server\r\n"))
			_, _ = io.Copy(io.Discard, connection)
			_ = connection.Close()
		}
	}()
	for name, test := range map[string]struct{ place, want string }{
		"a certificate that nobody knows":  {serving(t, true, nothing), "certificate"},
		"https to a server of http":        {strings.Replace(serving(t, false, nothing), "http", "https", 1), "HTTP response to HTTPS client"},
		"https to a server of other words": {"https://" + other.Addr().String(), "first record does not look like a TLS handshake"},
		"redirects without an end":         {serving(t, false, sends("/again")), "too many redirects"},
		"a redirect to what is no website": {serving(t, false, sends("ftp://h/a")), "the server sends us to ftp://h/a"},
	} {
		t.Run(name, func(t *testing.T) {
			place, err := url.Parse(test.place)
			if err != nil {
				t.Fatal(err)
			}
			c := newClient(1, time.Minute)
			defer c.Close()
			tries := 0
			err = c.Patiently(context.Background(), "asking", func() (bool, error) {
				if tries++; tries > 1 {
					return false, nil
				}
				request, err := c.Request(context.Background(), http.MethodGet, place, nil)
				if err != nil {
					return false, err
				}
				_, err = c.Answer(request)
				return false, err
			})
			if err == nil || tries != 1 || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "tried for") {
				t.Errorf("it was tried %d times, error is %v, want %q", tries, err, test.want)
			}
		})
	}
}

// TestPatienceBeginsAfterTheFirstTry, because a long transfer that is cut did go forward.
// Seen to fail when the clock runs during the first try.
func TestPatienceBeginsAfterTheFirstTry(t *testing.T) {
	c := newClient(1, 5*time.Minute)
	defer c.Close()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		if err := c.Patiently(t.Context(), "sending", func() (bool, error) {
			if tries++; tries > 1 {
				return false, nil
			}
			time.Sleep(time.Hour) // of the test's own clock
			return false, io.ErrUnexpectedEOF
		}); err != nil || tries != 2 {
			t.Errorf("it was tried %d times, and %v; want 2 times and no error", tries, err)
		}
		begun, failing := time.Now(), 0
		err := c.Patiently(t.Context(), "sending", func() (bool, error) { failing++; return false, io.ErrUnexpectedEOF })
		if err == nil || failing < 10 || time.Since(begun) < c.patience || time.Since(begun) > 2*c.patience {
			t.Errorf("it was tried %d times in %s, and %v", failing, time.Since(begun), err)
		}
	})
}
