package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	fewestAttacks = 300

	// silence is how long an attacker waits for a server that waits for him.
	silence = 500 * time.Millisecond
)

// TestHostileRequests: whatever is sent, nothing changes without the right to
// change it, no private byte leaves, and nothing breaks.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(s.tokenSite("owner private {", "\tread alice", "\twrite alice", "}"))
	secret := []byte("for alice's eyes only")
	s.put(filePath("private", "p", "1", "f"), secret)
	s.put(filePath("alice", "p", "1", "f"), []byte("alice's"))
	s.want(201, http.MethodPut, filePath("bob", "p", "1", "f"), "bob", []byte("bob's"))
	table := attacks()
	seen := make(map[string]bool)
	for _, a := range table {
		seen[a.raw] = true
	}
	if len(seen) < fewestAttacks {
		t.Fatalf("%d requests, want %d", len(seen), fewestAttacks)
	}
	for _, client := range []struct {
		name, auth string
		mayChange  bool
	}{
		{"anonymous", "", false},
		{"the wrong owner", "Authorization: " + basic("bob", password) + "\r\n", false},
		{"the right user", "Authorization: " + basic("alice", password) + "\r\n", true},
	} {
		s.attackAs(t, client.auth, table, func(a attack, response []byte) {
			for _, problem := range problems(a, response, secret, client.mayChange) {
				t.Errorf("%s, as %s: %s:\n%.300q\nanswered:\n%.600s", a.name, client.name, problem, a.raw, response)
			}
		})
		s.wantBytes(filePath("bob", "p", "1", "f"), []byte("bob's"))
		if client.mayChange {
			continue
		}
		s.wantBytes(filePath("private", "p", "1", "f"), secret)
		s.wantBytes(filePath("alice", "p", "1", "f"), []byte("alice's"))
		for _, owner := range []string{"private", "alice"} {
			s.want(404, http.MethodGet, filePath(owner, "p", "1", "new"), "alice", nil)
		}
		s.eventually("no other bytes are stored", func() bool {
			committed, uploads := s.blobs()
			return len(committed) == 3 && len(uploads) == 0
		})
	}
}

// attackAs sends the whole table as one client, several at a time.
func (s *server) attackAs(t *testing.T, auth string, table []attack, judge func(attack, []byte)) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	waiting := make(chan attack)
	for range 16 {
		all.Go(func() {
			for a := range waiting {
				response, err := s.send(strings.NewReplacer("AUTH", auth, "HOST", fmt.Sprintf("127.0.0.1:%d", s.port)).Replace(a.raw))
				mu.Lock()
				if err != nil {
					t.Errorf("%s: %v", a.name, err)
				}
				judge(a, response)
				mu.Unlock()
			}
		})
	}
	for _, a := range table {
		waiting <- a
	}
	close(waiting)
	all.Wait()
}

// send gives bytes to the server and returns all that it answers until it closes,
// or is silent.
func (s *server) send(raw string) ([]byte, error) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	// A server that has refused already may have closed on the rest.
	_, _ = io.WriteString(connection, raw)
	var response bytes.Buffer
	buffer := make([]byte, 32<<10)
	for {
		if err := connection.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return nil, err
		}
		n, err := connection.Read(buffer)
		response.Write(buffer[:n])
		if err != nil {
			return response.Bytes(), nil
		}
	}
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d{3})`)

// problems says what is wrong with the answers to an attack.
func problems(a attack, response, secret []byte, mayChange bool) (all []string) {
	for _, match := range statusLine.FindAllSubmatch(response, -1) {
		status, _ := strconv.Atoi(string(match[1]))
		switch {
		// net/http's own, before any handler.
		case status == http.StatusNotImplemented && strings.Contains(a.raw, "Transfer-Encoding"):
		case status == http.StatusHTTPVersionNotSupported && (strings.Contains(a.raw, "HTTP/2.0") || strings.Contains(a.raw, "HTTP/3.0")):
		case status >= 500:
			all = append(all, "a failure of the server")
		case !mayChange && (status == http.StatusCreated || status == http.StatusNoContent):
			all = append(all, "a change")
		}
	}
	if !mayChange && bytes.Contains(response, secret) {
		all = append(all, "private bytes")
	}
	if digest := fmt.Sprintf("%x", sha256.Sum256(secret)); !mayChange && (bytes.Contains(response, []byte(digest)) || bytes.Contains(response, []byte(`"login":"private"`))) {
		all = append(all, "private records")
	}
	if bytes.Contains(bytes.ToLower(response), []byte("\nx-evil:")) {
		all = append(all, "a header of the attacker's")
	}
	return all
}
