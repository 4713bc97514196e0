package clienttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"sync"
	"testing"
	"time"
)

// Server does what every server of the API does, and nothing beyond: its answers have no
// digests, and its uploads cannot be resumed.
type Server struct {
	mu sync.Mutex
	// Files are the contents that the version has, by name.
	Files map[string][]byte
	// Puts counts the files that were published.
	Puts int
	// Before may answer a request in place of the server.
	Before func(w http.ResponseWriter, r *http.Request) (answered bool)
	// Unlisted leaves the JSON API out.
	Unlisted bool
	// Lies are wrong digests of the listing, by name.
	Lies map[string]string
	// Ranges are the Range headers that were sent, one for each read.
	Ranges []string
}

// NewServer starts a server, which ends with the test, and returns the URL of its version.
func NewServer(t *testing.T) (*Server, string) {
	s := &Server{Files: make(map[string][]byte), Lies: make(map[string]string)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL + "/api/packages/alice/generic/app/1.0"
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil && s.Before(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/api/v1/packages/alice/generic/app/1.0/files" && !s.Unlisted {
		s.list(w)
		return
	}
	name := path.Base(r.URL.Path)
	content, exists := s.Files[name]
	switch {
	case r.Method == http.MethodPut && exists:
		http.Error(w, "package file already exists", http.StatusConflict)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.Puts++
		s.Files[name] = body
		w.WriteHeader(http.StatusCreated)
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && exists:
		s.Ranges = append(s.Ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	default:
		http.Error(w, "package does not exist", http.StatusNotFound)
	}
}

func (s *Server) list(w http.ResponseWriter) {
	files := []map[string]any{}
	for name, content := range s.Files {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		if lie := s.Lies[name]; lie != "" {
			digest = lie
		}
		files = append(files, map[string]any{"name": name, "size": len(content), "sha256": digest})
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_ = json.NewEncoder(w).Encode(files)
}

// ServeSilently does what a request asks for, and sends no answer.
func (s *Server) ServeSilently(r *http.Request) {
	before := s.Before
	s.Before = nil
	s.ServeHTTP(httptest.NewRecorder(), r)
	s.Before = before
}
