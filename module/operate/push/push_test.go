package push

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client"
	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// push runs the command, and returns what it said.
func push(arguments ...string) (text string, err error) {
	return clienttest.Run(NewCommand(), arguments...)
}

func TestPushToAServerThatOnlyHasTheAPI(t *testing.T) {
	s, place := clienttest.NewServer(t)
	t.Chdir(newFolder(t, "dist/a", "dist/b/c", "dist/empty"))
	if err := os.WriteFile("dist/empty", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("0123456789"), resumeFrom/10+1)
	if err := os.WriteFile("dist/large", large, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := push("dist", place, "--dry-run")
	if err != nil || s.Puts != 0 || strings.Count(text, "would publish") != 4 {
		t.Fatalf("a dry run: %d requests, %v\n%s", s.Puts, err, text)
	}
	for _, want := range []int{4, 4} { // the second time all is there
		if text, err = push("dist", place); err != nil || s.Puts != want {
			t.Fatalf("%d files were sent, %v; want %d\n%s", s.Puts, err, want, text)
		}
	}
	if !strings.Contains(text, "already there: a") {
		t.Errorf("it does not say that a file was there:\n%s", text)
	}
	if string(s.Files["c"]) != "dist/b/c" && string(s.Files["c"]) != "b/c" || !bytes.Equal(s.Files["large"], large) || len(s.Files["empty"]) != 0 {
		t.Errorf("the server has other bytes: %q", s.Files["c"])
	}
	for _, other := range []string{"another one", "other!"} { // of another size, and of the same
		s.Files["a"] = []byte(other)
		if text, err = push("dist", place); err == nil || !strings.Contains(err.Error(), "a: the version has a file of that name, with other bytes") {
			t.Errorf("a file that differs: %v\n%s", err, text)
		}
	}
}

// TestPushADraftToAServerWithoutDrafts publishes one file at most, and says so.
// Seen to fail when that was tried again.
func TestPushADraftToAServerWithoutDrafts(t *testing.T) {
	s, place := clienttest.NewServer(t)
	s.Files["a"] = []byte("dist/a")
	t.Chdir(newFolder(t, "dist/a", "dist/b", "dist/c", "dist/d"))
	text, err := push("--publish", "dist", place)
	if err == nil || !strings.Contains(err.Error(), "b: the server has no drafts, and has published this file at once; no other was sent") || s.Puts != 1 {
		t.Errorf("%d files were published, %v; want one\n%s", s.Puts, err, text)
	}
}

// TestPushADraftThatAServerWithoutDraftsPublishes silently: the answer is lost, and no other
// file follows. Seen to fail when a file that arrived counts as one of a draft.
func TestPushADraftThatAServerWithoutDraftsPublishes(t *testing.T) {
	s, place := clienttest.NewServer(t)
	t.Chdir(newFolder(t, "a", "b", "c"))
	var once sync.Once
	s.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			once.Do(func() { s.ServeSilently(r); panic(http.ErrAbortHandler) })
		}
		return false
	}
	text, err := push("--draft", ".", place)
	if err == nil || !strings.Contains(err.Error(), "a: this file is published, and not in a draft") || s.Puts != 1 {
		t.Errorf("%d files were published, %v; want one\n%s", s.Puts, err, text)
	}
}

// TestPushSaysWhatIsPublishedAndWhatIsADraft when the server has the files already.
// Seen to fail when a file that is there counts as one that is where it was to go.
func TestPushSaysWhatIsPublishedAndWhatIsADraft(t *testing.T) {
	for _, test := range []struct {
		flag, drafts    string // the names of files that are in a draft
		want, wantError string
	}{
		{"--draft", "", "published already, and in no draft: 2 files", ""},
		{"--draft", "a", "1 published already, the others not published yet, in a draft: 2 files", ""},
		{"--draft", "ab", "not published yet, in a draft: 2 files", ""},
		{"--quiet=false", "", "published 2 files", ""},
		{"--quiet=false", "b", "already there: a", "b: the version is a draft"},
	} {
		s, place := clienttest.NewServer(t)
		t.Chdir(newFolder(t, "a", "b"))
		s.Files["a"], s.Files["b"] = []byte("a"), []byte("b")
		s.Before = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(test.drafts, path.Base(r.URL.Path)) {
				w.Header().Set("X-Publish", "draft")
			}
			return false
		}
		text, err := push(".", place, test.flag)
		if !strings.Contains("\n"+text, "\n"+test.want) || (err == nil) != (test.wantError == "") || err != nil && !strings.Contains(err.Error(), test.wantError) || s.Puts > 0 {
			t.Errorf("%s, and %q are in a draft: %v, want %q and %q\n%s", test.flag, test.drafts, err, test.want, test.wantError, text)
		}
	}
}

// TestPushGoesOnAfterFaults that pass, and does not publish twice.
// Seen to fail with a second request that does not ask first whether the file has arrived, and
// when a 409 fails the push although the file is there.
func TestPushGoesOnAfterFaults(t *testing.T) {
	for name, fault := range map[string]func(s *clienttest.Server, w http.ResponseWriter, r *http.Request){
		"503": func(_ *clienttest.Server, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		},
		"the connection is cut": func(*clienttest.Server, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the answer is lost": func(s *clienttest.Server, w http.ResponseWriter, r *http.Request) {
			s.ServeSilently(r)
			panic(http.ErrAbortHandler)
		},
		"a proxy answers for it": func(s *clienttest.Server, w http.ResponseWriter, r *http.Request) {
			s.ServeSilently(r)
			w.WriteHeader(http.StatusBadGateway)
		},
		"another one was faster with the same bytes": func(s *clienttest.Server, w http.ResponseWriter, r *http.Request) {
			s.ServeSilently(r)
			w.WriteHeader(http.StatusConflict)
		},
		"and the condition fails": func(s *clienttest.Server, w http.ResponseWriter, r *http.Request) {
			s.ServeSilently(r)
			w.WriteHeader(http.StatusPreconditionFailed)
		},
		"429 with a time to wait": func(_ *clienttest.Server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := clienttest.NewServer(t)
			t.Chdir(newFolder(t, "a"))
			var once sync.Once
			s.Before = func(w http.ResponseWriter, r *http.Request) (answered bool) {
				if r.Method == http.MethodPut {
					once.Do(func() { answered = true; fault(s, w, r) })
				}
				return answered
			}
			if text, err := push("a", place); err != nil || s.Puts != 1 || string(s.Files["a"]) != "a" {
				t.Errorf("%d were published, %v\n%s", s.Puts, err, text)
			}
		})
	}
}

// TestPushNoFileThatIsBeingWritten: a part of it would be published for good.
// Seen to fail when only a file that has become shorter is noticed.
func TestPushNoFileThatIsBeingWritten(t *testing.T) {
	for name, content := range map[string]string{"longer": "a, and more", "shorter": ""} {
		s, place := clienttest.NewServer(t)
		t.Chdir(newFolder(t, "a"))
		var once sync.Once
		s.Before = func(http.ResponseWriter, *http.Request) bool {
			once.Do(func() {
				if err := os.WriteFile("a", []byte(content), 0o600); err != nil {
					t.Error(err)
				}
			})
			return false
		}
		if text, err := push("a", place); !errors.Is(err, client.ErrLocal) || s.Puts != 0 {
			t.Errorf("a file has become %s: %v, %d were published, want none\n%s", name, err, s.Puts, text)
		}
	}
}

func TestARefusedPushSaysWhyAndIsNotTriedAgain(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden:             "403 Forbidden: not you red",
		http.StatusUnauthorized:          "write the token to the environment variable " + client.SecretVariable,
		http.StatusRequestEntityTooLarge: "413",
		http.StatusPermanentRedirect:     "write that URL",
		http.StatusInsufficientStorage:   "507",
	} {
		s, place := clienttest.NewServer(t)
		t.Chdir(newFolder(t, "a"))
		asked := 0
		s.Before = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPut {
				return false
			}
			asked++
			w.Header().Set("Location", "/elsewhere")
			http.Error(w, "not\nyou \x1b\x07red", status)
			return true
		}
		text, err := push("a", place)
		if err == nil || !strings.Contains(err.Error(), want) || asked != 1 || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: asked %d times, error is %v, want %q\n%s", status, asked, err, want, text)
		}
	}
}

func TestTheCredentials(t *testing.T) {
	s, place := clienttest.NewServer(t)
	var got string
	s.Before = func(w http.ResponseWriter, r *http.Request) bool { got = r.Header.Get("Authorization"); return false }
	t.Chdir(newFolder(t, "a", "token"))
	if err := os.WriteFile("token", []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		variable string
		Flags    []string
		want     string
	}{
		{"", nil, ""},
		{"secret", nil, "Bearer secret"},
		{"secret", []string{"--user", "alice"}, "Basic YWxpY2U6c2VjcmV0"},
		{"secret", []string{"--token-file", "token"}, "Bearer from a file"},
	} {
		t.Setenv(client.SecretVariable, test.variable)
		text, err := push(append([]string{"a", place}, test.Flags...)...)
		if err != nil || got != test.want || test.variable != "" && strings.Contains(text, test.variable) {
			t.Errorf("%q: sent %q, want %q; %v\n%s", test.Flags, got, test.want, err, text)
		}
	}
}
