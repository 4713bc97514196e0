package bucket

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// pipes are connections that keep no bytes on their way: who sends some waits until they are read.
type pipes struct {
	net.Listener
	accepted chan net.Conn
	closed   chan struct{}
}

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// dial is the DialContext of a transport.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.accepted <- server
	return client, nil
}

// TestAnObjectMayTakeLongerThanTheTimeout to write and to read, while its bytes move. Seen to fail
// with a clock for the request as a whole, of each of both.
func TestAnObjectMayTakeLongerThanTheTimeout(t *testing.T) {
	const timeout, piece = time.Second, 64 << 10
	content := bytes.Repeat([]byte("x"), 16*piece)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"tag"`)
		w.Header().Set("Last-Modified", time.Unix(1_000_000_000, 0).UTC().Format(http.TimeFormat))
		var from io.Reader = r.Body
		to := io.Discard
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			from, to = bytes.NewReader(content), w
		}
		slowly := time.NewTicker(timeout / 10)
		defer slowly.Stop()
		for range slowly.C {
			if _, err := io.CopyN(to, from, piece); err != nil {
				return
			}
			if to != io.Discard {
				_ = http.NewResponseController(w).Flush()
			}
		}
	}))
	connections := pipes{server.Listener, make(chan net.Conn), make(chan struct{})}
	server.Listener = connections
	server.Start()
	defer server.Close()
	defer close(connections.closed)
	b := bucketWith(t, "http://"+server.Listener.Addr().String(), SmallestPart, timeout)
	b.transport.DialContext = connections.dial
	if err := b.Put(t.Context(), "key", content); err != nil {
		t.Errorf("writing: %v", err)
	}
	if got, err := b.Read(t.Context(), "key"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("reading: %d bytes, %v; want %d", len(got), err, len(content))
	}
}
