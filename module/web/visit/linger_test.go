package visit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestBodiesOfRefusedStrangersAreReadInBounds: of clients that may not write, the server reads a
// bounded number of bytes, from a bounded number of requests.
func TestBodiesOfRefusedStrangersAreReadInBounds(t *testing.T) {
	kept := boundsOfStrangers
	defer func() { boundsOfStrangers = kept }()
	boundsOfStrangers = lingerBounds{1 << 20, time.Minute}
	for _, test := range []struct {
		name     string
		mayWrite bool
		others   int64 // strangers that are heard already
		most     int64 // bytes that are read
		all      bool
	}{
		{"a stranger", false, 0, 1<<20 + 1, false},
		{"one more than enough", false, maxStrangers, 0, false},
		{"a writer", true, maxStrangers, 8 << 20, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			strangers.Store(test.others)
			defer strangers.Store(0)
			read := make(chan int64, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				counted := &countedBody{ReadCloser: r.Body}
				body := &requestBody{ReadCloser: counted}
				denial{status: http.StatusForbidden, contentType: "text/plain", text: "no\n", mayWrite: test.mayWrite}.answer(w, r, body)
				if body.done != test.all {
					t.Errorf("all of the body was read: %v, want %v", body.done, test.all)
				}
				read <- counted.read
			}))
			defer server.Close()
			connection, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if _, err := fmt.Fprintf(connection, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 8<<20); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil || response.StatusCode != http.StatusForbidden || !response.Close {
				t.Fatalf("the answer is %v, %v", response, err)
			}
			_, _ = connection.Write(make([]byte, 8<<20)) // the server may have closed
			if got := <-read; got > test.most || test.all && got != test.most {
				t.Errorf("%d bytes were read, want %d at most", got, test.most)
			}
			if got := strangers.Load(); got != test.others {
				t.Errorf("%d strangers are counted afterwards, want %d", got, test.others)
			}
		})
	}
}

type countedBody struct {
	io.ReadCloser
	read int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	return n, err
}
