package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestAHalfClosedConnectionIsAnswered: a client may say that it sends no more, as
// nc -N and some proxies do, and still waits for its answer. net/http takes that
// for a client that is gone. Each request is the first of its user, whose password
// takes some milliseconds to check: time to notice before the store is asked.
func TestAHalfClosedConnectionIsAnswered(t *testing.T) {
	t.Parallel()
	const clients = 8
	content := pattern(1, 200_000)
	requests := []struct {
		method, pkg string
		body        []byte
		status      int
		answer      []byte
	}{
		{http.MethodGet, "there", nil, http.StatusOK, content},
		{http.MethodDelete, "there", nil, http.StatusNoContent, nil},
		{http.MethodPut, "new", content, http.StatusCreated, nil},
	}
	var accounts strings.Builder
	for _, request := range requests {
		for client := range clients {
			slow, err := bcrypt.GenerateFromPassword([]byte(password), 9)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&accounts, "\t\t%s%d %s\n", request.method, client, slow)
		}
	}
	s := newServer(t)
	s.start(strings.Replace(s.site("owner alice {", "\twrite @users", "}"), "\t\tbob", accounts.String()+"\t\tbob", 1))
	for client := range clients {
		s.put(filePath("alice", "there", "1", fmt.Sprint("f", client)), content)
	}
	for _, request := range requests {
		var all sync.WaitGroup
		for client := range clients {
			all.Go(func() {
				path := filePath("alice", request.pkg, "1", fmt.Sprint("f", client))
				got, err := s.halfClose(request.method, path, fmt.Sprint(request.method, client), request.body)
				if err != nil || got.status != request.status || !bytes.Equal(got.body, request.answer) {
					t.Errorf("%s: %d with %d bytes, %v; want %d with %d", request.method, got.status, len(got.body), err, request.status, len(request.answer))
				}
			})
		}
		all.Wait()
	}
	for client := range clients {
		file := fmt.Sprint("f", client)
		s.want(http.StatusNotFound, http.MethodGet, filePath("alice", "there", "1", file), "alice", nil)
		s.wantBytes(filePath("alice", "new", "1", file), content)
	}
}

// halfClose sends a user's request, ends its side of the connection at once,
// and reads the answer.
func (s *server) halfClose(method, path, user string, body []byte) (answer, error) {
	dialed, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return answer{}, err
	}
	connection := dialed.(*net.TCPConn)
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", method, path, basic(user, password), len(body))
	if _, err := connection.Write(append([]byte(head), body...)); err != nil {
		return answer{}, err
	}
	if err := connection.CloseWrite(); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: got}, err
}
