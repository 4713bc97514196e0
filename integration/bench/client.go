package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	patience   = 5 * time.Minute // for one request: what takes longer hangs
	bufferSize = 256 * kibibyte  // of a client that reads a download
)

// endpoint is a server as its clients see it.
type endpoint struct {
	name          string // in the table and in benchmark names
	label         string // in prose
	address       string
	tls           bool
	host          string
	base          string // path before /api, without a slash at its end
	owner         string
	authorization string   // for what needs a user
	process       *process // nil where its CPU time and memory cannot be read
	fixed         bool     // it answers every request with the same bytes, which are not those of a file
}

func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// parseEndpoint reads a base URL and user:password.
func parseEndpoint(base, owner, credentials string) (*endpoint, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is no base URL", base)
	}
	e := &endpoint{name: "peer", label: u.Host, address: u.Host, host: u.Host, base: strings.TrimRight(u.EscapedPath(), "/"), owner: owner, tls: u.Scheme == "https"}
	if u.Port() == "" {
		e.address = net.JoinHostPort(u.Hostname(), u.Scheme)
	}
	if credentials != "" {
		e.authorization = basic(credentials)
	}
	return e, nil
}

// path is where a file is; with no name, where the version is.
func (e *endpoint) path(pkg, version, file string) string {
	p := e.base + "/api/packages/" + e.owner + "/generic/" + pkg + "/" + version
	if file == "" {
		return p
	}
	return p + "/" + file
}

// head is the head of a request, ready to be sent again and again. Fields are names
// and values in turn.
func (e *endpoint) head(method, path string, fields ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, e.host)
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", fields[i], fields[i+1])
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// connection is one that is kept alive. It sends heads as they are and leaves the
// rest to the standard library's parser: an http.Transport takes as much CPU time as
// a server does for a small file, on the same cores.
type connection struct {
	*endpoint
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte
}

// request is one, and what its answer must be.
type request struct {
	method string
	head   []byte
	body   *content
	status int

	// size is how many bytes the answer has; -1 for any number.
	size int64

	// read takes the answer's body; nil throws it away.
	read func(io.Reader) error
}

func (c *connection) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: patience}
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	if c.tls {
		conn = tls.Client(conn, &tls.Config{ServerName: strings.Split(c.host, ":")[0]})
	}
	c.conn, c.reader = conn, bufio.NewReaderSize(conn, 16*kibibyte)
	return nil
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// do sends a request and compares the answer with what it must be. The header is
// that of the answer.
func (c *connection) do(ctx context.Context, q request) (http.Header, error) {
	header, err := c.exchange(ctx, q)
	if err != nil {
		c.close()
		line, _, _ := strings.Cut(string(q.head), "\r\n")
		return nil, fmt.Errorf("%s: %s: %w", c.label, line, err)
	}
	return header, nil
}

func (c *connection) exchange(ctx context.Context, q request) (http.Header, error) {
	if err := c.dial(ctx); err != nil {
		return nil, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	sendErr := c.send(q)
	response, err := http.ReadResponse(c.reader, &http.Request{Method: q.method})
	if err != nil {
		return nil, errors.Join(sendErr, err)
	}
	if response.StatusCode != q.status {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return nil, fmt.Errorf("status %d instead of %d: %s", response.StatusCode, q.status, strings.TrimSpace(string(text)))
	}
	if sendErr != nil {
		return nil, sendErr
	}
	if err := c.take(response, q); err != nil {
		return nil, err
	}
	if response.Close {
		c.close()
	}
	return response.Header, nil
}

// send writes head and body; in one write where the body is small.
func (c *connection) send(q request) error {
	head := q.head
	if q.body != nil && q.body.size <= 64*kibibyte {
		head = q.body.appendTo(head[:len(head):len(head)])
	}
	if _, err := c.conn.Write(head); err != nil {
		return err
	}
	if q.body == nil || q.body.size <= 64*kibibyte {
		return nil
	}
	return q.body.send(c.conn)
}

// take reads the body of an answer to its end.
func (c *connection) take(response *http.Response, q request) error {
	if q.read != nil {
		return q.read(response.Body)
	}
	n, err := c.discard(response.Body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	if q.size >= 0 && n != q.size {
		return fmt.Errorf("%d bytes instead of %d", n, q.size)
	}
	return nil
}

// discard reads with a large buffer, which the parser's own reader steps aside for.
func (c *connection) discard(r io.Reader) (total int64, err error) {
	if c.buffer == nil {
		c.buffer = make([]byte, bufferSize)
	}
	for {
		n, err := r.Read(c.buffer)
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
