package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// replayer sends recorded cases to a server, in order.
type replayer struct {
	server       *server
	credentials  map[string]string // the Authorization of each user
	lastModified string            // of the last answer that had one
	stored       map[string]map[string]bool

	answers int            // in JSON, that were compared
	lists   map[string]int // of those, by their headers
}

func replayOf(s *server) *replayer {
	return &replayer{
		server: s,
		credentials: map[string]string{
			"alice": basic("alice", password), "alice_pw": basic("alice", password), "bob": basic("bob", password),
			"alice_ro": "token " + s.token("--name", "alice_ro", "--user", "alice", "--scope", "read"),
		},
		stored: make(map[string]map[string]bool),
		lists:  make(map[string]int),
	}
}

// send sends a case and notes what it changed.
func (r *replayer) send(c recorded) (answer, error) {
	response, err := r.exchange(c)
	if err != nil {
		return answer{}, err
	}
	if modified := response.header.Get("Last-Modified"); modified != "" {
		r.lastModified = modified
	}
	r.note(c, response.status)
	return response, nil
}

// note keeps the account of which files of which versions there are.
func (r *replayer) note(c recorded, status int) {
	path, isAPI := strings.CutPrefix(c.Path, "/api/v1/packages/")
	if !isAPI {
		path = strings.TrimPrefix(c.Path, api)
	}
	elements := strings.Split(store.Fold(path), "/")
	name := strings.Join(elements[:min(4, len(elements))], "/")
	switch {
	case status == http.StatusCreated && c.Method == http.MethodPut:
		if r.stored[name] == nil {
			r.stored[name] = make(map[string]bool)
		}
		r.stored[name][elements[4]] = true
	case status == http.StatusNoContent && len(elements) == 5:
		delete(r.stored[name], elements[4])
		if len(r.stored[name]) == 0 {
			delete(r.stored, name)
		}
	case status == http.StatusNoContent:
		for version := range r.stored {
			if version == name || strings.HasPrefix(version, name+"/") {
				delete(r.stored, version)
			}
		}
	}
}

// versions is how many versions an owner has.
func (r *replayer) versions(owner string) (count int) {
	for version := range r.stored {
		if strings.HasPrefix(version, owner+"/") {
			count++
		}
	}
	return count
}

// exchange sends a case byte for byte on a connection of its own.
func (r *replayer) exchange(c recorded) (answer, error) {
	got, err := r.exchangeOnce(c)
	for range 5 {
		if !errors.Is(err, syscall.ECONNRESET) {
			break
		}
		// Go closes on a body that it has not read when the path is malformed, and the
		// reset may overtake the answer.
		got, err = r.exchangeOnce(c)
	}
	return got, err
}

func (r *replayer) exchangeOnce(c recorded) (answer, error) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.server.port))
	if err != nil {
		return answer{}, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	reader := bufio.NewReader(connection)
	request := &http.Request{Method: c.Method}
	if _, err := io.WriteString(connection, r.head(c)); err != nil {
		return answer{}, err
	}
	if c.Expect {
		status, err := reader.Peek(len("HTTP/1.1 100"))
		if err != nil {
			return answer{}, fmt.Errorf("waiting for leave to send: %w", err)
		}
		if string(status) != "HTTP/1.1 100" {
			return readAnswer(reader, request)
		}
	}
	if c.Body != nil {
		// A server that refuses may close before it has read all.
		_ = c.sendBody(connection)
	}
	if c.HalfClose {
		if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
			return answer{}, err
		}
	}
	return readAnswer(reader, request)
}

func (r *replayer) head(c recorded) string {
	protocol := c.HTTP
	if protocol == "" {
		protocol = "1.1"
	}
	path := make([]byte, 0, len(c.Path))
	for _, char := range c.Path { // latin-1
		path = append(path, byte(char))
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/%s\r\nHost: 127.0.0.1:%d\r\n", c.Method, path, protocol, r.server.port)
	if c.User != nil {
		fmt.Fprintf(&head, "Authorization: %s\r\n", r.credentials[*c.User])
	}
	connection := false
	for _, h := range c.Headers {
		isDate := h[0] == "If-Range" || h[0] == "If-Modified-Since"
		if isDate && (strings.HasSuffix(c.Case, "Last-Modified") || strings.HasSuffix(c.Case, "= LM") || c.Case == "HEAD If-Modified-Since") {
			h[1] = r.lastModified
		}
		connection = connection || strings.EqualFold(h[0], "Connection")
		fmt.Fprintf(&head, "%s: %s\r\n", h[0], h[1])
	}
	if !connection {
		head.WriteString("Connection: close\r\n")
	}
	if c.Body != nil {
		switch {
		case c.Chunked:
			head.WriteString("Transfer-Encoding: chunked\r\n")
		case c.ContentLength != nil:
			fmt.Fprintf(&head, "Content-Length: %d\r\n", *c.ContentLength)
		default:
			fmt.Fprintf(&head, "Content-Length: %d\r\n", len(c.Body.bytes()))
		}
		if c.Expect {
			head.WriteString("Expect: 100-continue\r\n")
		}
	}
	return head.String() + "\r\n"
}

func (c recorded) sendBody(w io.Writer) error {
	content := c.Body.bytes()
	if !c.Chunked {
		_, err := w.Write(content)
		return err
	}
	for chunk := range slices.Chunk(content, 65536) {
		if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", len(chunk), chunk); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "0\r\n\r\n")
	return err
}

// readAnswer reads the final answer, and which interim ones come before it.
func readAnswer(reader *bufio.Reader, request *http.Request) (answer, error) {
	var interim []int
	for {
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			return answer{}, fmt.Errorf("reading the answer: %w", err)
		}
		if response.StatusCode >= 100 && response.StatusCode < 200 {
			interim = append(interim, response.StatusCode)
			continue
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		return answer{status: response.StatusCode, header: response.Header, body: content, closes: response.Close, interim: interim}, err
	}
}
