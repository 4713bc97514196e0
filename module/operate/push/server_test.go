package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainServer is what every server of the API does, and nothing more: no digests in its
// answers, no uploads that can be resumed.
type plainServer struct {
	mu       sync.Mutex
	files    map[string][]byte
	puts     int
	before   func(w http.ResponseWriter, r *http.Request) (answered bool)
	unlisted bool
	lies     map[string]string // digests of the listing
	ranges   []string
}

func newPlainServer(t *testing.T) (*plainServer, string) {
	s := &plainServer{files: make(map[string][]byte), lies: make(map[string]string)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL + "/api/packages/alice/generic/app/1.0"
}

func (s *plainServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && s.before(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/api/v1/packages/alice/generic/app/1.0/files" && !s.unlisted {
		s.list(w)
		return
	}
	name := path.Base(r.URL.Path)
	content, exists := s.files[name]
	switch {
	case r.Method == http.MethodPut && exists:
		http.Error(w, "package file already exists", http.StatusConflict)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.puts++
		s.files[name] = body
		w.WriteHeader(http.StatusCreated)
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && exists:
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	default:
		http.Error(w, "package does not exist", http.StatusNotFound)
	}
}

func (s *plainServer) list(w http.ResponseWriter) {
	files := []map[string]any{}
	for name, content := range s.files {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		if lie := s.lies[name]; lie != "" {
			digest = lie
		}
		files = append(files, map[string]any{"name": name, "size": len(content), "sha256": digest})
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_ = json.NewEncoder(w).Encode(files)
}

// run runs a command, and returns what it said.
func run(command string, arguments ...string) (text string, err error) {
	c := NewPushCommand()
	if command == "pull" {
		c = NewPullCommand()
	}
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetIn(strings.NewReader(""))
	c.SetArgs(append(arguments, "--patience", "3s"))
	c.SilenceErrors = true
	err = c.Execute()
	return out.String(), err
}

func TestPushToAServerThatOnlyHasTheAPI(t *testing.T) {
	s, place := newPlainServer(t)
	t.Chdir(newFolder(t, "dist/a", "dist/b/c", "dist/empty"))
	if err := os.WriteFile("dist/empty", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789"), resumeFrom/10+1)
	if err := os.WriteFile("dist/large", large, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := run("push", "dist", place, "--dry-run")
	if err != nil || s.puts != 0 || strings.Count(text, "would publish") != 4 {
		t.Fatalf("a dry run: %d requests, %v\n%s", s.puts, err, text)
	}
	for _, want := range []int{4, 4} { // the second time all is there
		if text, err = run("push", "dist", place); err != nil || s.puts != want {
			t.Fatalf("%d files were sent, %v; want %d\n%s", s.puts, err, want, text)
		}
	}
	if !strings.Contains(text, "already there: a") {
		t.Errorf("it does not say that a file was there:\n%s", text)
	}
	if string(s.files["c"]) != "dist/b/c" && string(s.files["c"]) != "b/c" || !bytes.Equal(s.files["large"], large) || len(s.files["empty"]) != 0 {
		t.Errorf("the server has other bytes: %q", s.files["c"])
	}
	s.files["a"] = []byte("another one")
	if text, err = run("push", "dist", place); err == nil || !strings.Contains(err.Error(), "a: the version has a file of that name, with other bytes") {
		t.Errorf("a file that differs: %v\n%s", err, text)
	}
}

// TestPushADraftToAServerWithoutDrafts publishes one file at most, and says so.
// Seen to fail when that was tried again.
func TestPushADraftToAServerWithoutDrafts(t *testing.T) {
	s, place := newPlainServer(t)
	s.files["a"] = []byte("dist/a")
	t.Chdir(newFolder(t, "dist/a", "dist/b", "dist/c", "dist/d"))
	text, err := run("push", "--publish", "dist", place)
	if err == nil || !strings.Contains(err.Error(), "b: the server has no drafts, and has published this file at once; no other was sent") || s.puts != 1 {
		t.Errorf("%d files were published, %v; want one\n%s", s.puts, err, text)
	}
}

// TestPushGoesOnAfterFaults that pass, and does not publish twice.
// Seen to fail with a second request that does not ask first whether the file has arrived.
func TestPushGoesOnAfterFaults(t *testing.T) {
	for name, fault := range map[string]func(s *plainServer, w http.ResponseWriter, r *http.Request){
		"503": func(_ *plainServer, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"the connection is cut": func(*plainServer, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the answer is lost": func(s *plainServer, w http.ResponseWriter, r *http.Request) {
			s.serveSilently(r)
			panic(http.ErrAbortHandler)
		},
		"a proxy answers for it": func(s *plainServer, w http.ResponseWriter, r *http.Request) {
			s.serveSilently(r)
			w.WriteHeader(http.StatusBadGateway)
		},
		"429 with a time to wait": func(_ *plainServer, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := newPlainServer(t)
			t.Chdir(newFolder(t, "a"))
			var once sync.Once
			s.before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
				if r.Method == http.MethodPut {
					once.Do(func() { answered = true; fault(s, w, r) })
				}
				return answered
			}
			if text, err := run("push", "a", place); err != nil || s.puts != 1 || string(s.files["a"]) != "a" {
				t.Errorf("%d were published, %v\n%s", s.puts, err, text)
			}
		})
	}
}

// serveSilently does what a request wants, and answers nobody.
func (s *plainServer) serveSilently(r *http.Request) {
	before := s.before
	s.before = nil
	s.ServeHTTP(httptest.NewRecorder(), r)
	s.before = before
}

func TestWhatIsRefusedIsToldAndNotTriedAgain(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden:             "403 Forbidden: not you red",
		http.StatusUnauthorized:          "write the token to the environment variable " + secretVariable,
		http.StatusRequestEntityTooLarge: "413",
		http.StatusPermanentRedirect:     "write that URL",
		http.StatusInsufficientStorage:   "507",
	} {
		s, place := newPlainServer(t)
		t.Chdir(newFolder(t, "a"))
		asked := 0
		s.before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			asked++
			w.Header().Set("Location", "/elsewhere")
			http.Error(w, "not\nyou \x1b\x07red", status)
			return true
		}
		text, err := run("push", "a", place)
		if err == nil || !strings.Contains(err.Error(), want) || asked != 1 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: asked %d times, error is %v, want %q\n%s", status, asked, err, want, text)
		}
	}
}

func TestTheCredentials(t *testing.T) {
	s, place := newPlainServer(t)
	var got string
	s.before = func(w http.ResponseWriter, r *http.Request) bool { got = r.Header.Get("Authorization"); return false }
	t.Chdir(newFolder(t, "a", "token"))
	if err := os.WriteFile("token", []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		variable string
		flags    []string
		want     string
	}{
		{"", nil, ""},
		{"secret", nil, "Bearer secret"},
		{"secret", []string{"--user", "alice"}, "Basic YWxpY2U6c2VjcmV0"},
		{"secret", []string{"--token-file", "token"}, "Bearer from a file"},
	} {
		t.Setenv(secretVariable, test.variable)
		text, err := run("push", append([]string{"a", place}, test.flags...)...)
		if err != nil || got != test.want || test.variable != "" && strings.Contains(text, test.variable) {
			t.Errorf("%q: sent %q, want %q; %v\n%s", test.flags, got, test.want, err, text)
		}
	}
}

func TestPull(t *testing.T) {
	s, place := newPlainServer(t)
	s.files["a"], s.files["empty"] = []byte("content of a"), nil
	s.files["large"] = bytes.Repeat([]byte("x"), 3<<20)
	folder := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	// What an earlier run left, and what something else did.
	for name, content := range map[string]string{"large.part": strings.Repeat("x", 1<<20), "a.part": "other bytes"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		text, err := run("pull", place, folder)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for name, want := range s.files {
			if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s has %d bytes, %v; want %d", name, len(got), err, len(want))
			}
		}
		if round == 1 && strings.Count(text, "already there") != 3 {
			t.Errorf("it was fetched again:\n%s", text)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "*.part")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
	if got := strings.Join(s.ranges, " "); !strings.Contains(got, "bytes=1048576-") {
		t.Errorf("what was there came again: %q", got)
	}
}

func TestPullRefusesWhatIsNotRight(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, s *plainServer)
		want    string
	}{
		"bytes of another digest": {func(_ *testing.T, s *plainServer) { s.lies["a"] = strings.Repeat("0", 64) }, "does not have the SHA-256"},
		"no digest":               {func(_ *testing.T, s *plainServer) { s.lies["a"] = "none" }, "does not say which SHA-256"},
		"a name that leaves":      {func(_ *testing.T, s *plainServer) { s.files["../b"] = nil }, "cannot be a file here"},
		"a file that is another": {func(t *testing.T, _ *plainServer) {
			if err := os.WriteFile("a", []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is another file"},
		"no listing": {func(_ *testing.T, s *plainServer) { s.unlisted = true }, "does not say which files"},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := newPlainServer(t)
			s.files["a"] = []byte("content")
			t.Chdir(t.TempDir())
			test.prepare(t, s)
			text, err := run("pull", place)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q\n%s", err, test.want, text)
			}
			if got, err := os.ReadFile("a"); err == nil && string(got) != "mine" {
				t.Errorf("a is there: %q", got)
			}
		})
	}
}

func TestPullBySums(t *testing.T) {
	s, place := newPlainServer(t)
	s.unlisted = true
	s.files["a"] = []byte("content")
	sum := sha256.Sum256(s.files["a"])
	s.files["SHA256SUMS"] = []byte(hex.EncodeToString(sum[:]) + "  a\n")
	t.Chdir(t.TempDir())
	if text, err := run("pull", place, "x"); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got, err := os.ReadFile("x/a"); err != nil || string(got) != "content" {
		t.Errorf("a is %q, %v", got, err)
	}
}
