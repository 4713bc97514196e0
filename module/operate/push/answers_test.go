package push

import (
	"bytes"
	"cmp"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// TestPushFailsWhereNothingIsStored although each answer is a success: what answers is no
// registry.
//
// Seen to fail, each case, when any status below 300 counts as the success that was asked for.
// Seen to fail when a file counts as there of which HEAD tells neither a digest nor a size, and
// when it counts as there for its size.
func TestPushFailsWhereNothingIsStored(t *testing.T) {
	for name, test := range map[string]struct {
		arguments []string
		answer    func(header http.Header, r *http.Request) (status int)
		want      string
	}{
		"200 to everything": {
			answer: func(http.Header, *http.Request) int { return http.StatusOK },
			want:   "the server answers 200, where a registry answers 201",
		},
		"200 to everything, and the size to HEAD": {
			answer: func(header http.Header, r *http.Request) int {
				if r.Method == http.MethodHead {
					header.Set("Content-Length", strconv.Itoa(resumeFrom))
				}
				return http.StatusOK
			},
			want: "the server answers 200, where a registry answers 201",
		},
		"200 to a PUT": {
			answer: func(_ http.Header, r *http.Request) int {
				return map[string]int{"HEAD": 404, "PUT": 200}[r.Method]
			},
			want: "the server answers 200, where a registry answers 201",
		},
		"200 to the begin of an upload": {
			answer: func(header http.Header, r *http.Request) int {
				header.Set(fieldInterop, interopVersion)
				header.Set(fieldLimit, "min-size=0")
				header.Set("Location", "/upload")
				return map[string]int{"HEAD": 404, "OPTIONS": 204, "PUT": 200}[r.Method]
			},
			want: "the server answers 200, where a registry answers 201",
		},
		"200 to the end of an upload": {
			answer: func(header http.Header, r *http.Request) int {
				header.Set(fieldInterop, interopVersion)
				header.Set(fieldLimit, "min-size=0")
				header.Set("Location", "/upload")
				return map[string]int{"HEAD": 404, "OPTIONS": 204, "PUT": 201, "PATCH": 200}[r.Method]
			},
			want: "the server answers 200, where a registry answers 201",
		},
		"204 to the publishing of a draft": {
			arguments: []string{"--publish"},
			answer: func(header http.Header, r *http.Request) int {
				header.Set("X-Publish", "draft")
				return map[string]int{"HEAD": 404, "PUT": 201, "POST": 204}[r.Method]
			},
			want: "the server answers 204, where a registry answers 200",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := clienttest.NewServer(t)
			t.Chdir(t.TempDir())
			if err := os.WriteFile("a", bytes.Repeat([]byte("a"), resumeFrom), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(cmp.Or(test.answer(w.Header(), r), http.StatusMethodNotAllowed))
				return true
			}
			text, err := push(append([]string{"a", place}, test.arguments...)...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q\n%s", err, test.want, text)
			}
		})
	}
}

// TestPushComparesBytesWhereHeadTellsNoDigest: with the listing, which is asked for once, or
// else by reading the file. Both are tried again after a fault.
//
// Seen to fail when a file of the same size counts as there, when each file asks for the
// listing, and when a listing that fails counts as none.
func TestPushComparesBytesWhereHeadTellsNoDigest(t *testing.T) {
	for name, test := range map[string]struct {
		unlisted     bool
		lists, reads int64 // of three files, with one that fails
	}{
		"listed":   {lists: 2},
		"unlisted": {unlisted: true, lists: 5, reads: 4},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := clienttest.NewServer(t)
			s.Unlisted = test.unlisted
			t.Chdir(newFolder(t, "a", "b", "c"))
			for _, name := range []string{"a", "b", "c"} {
				s.Files[name] = []byte(name)
			}
			var lists, reads atomic.Int64
			s.Before = func(w http.ResponseWriter, r *http.Request) (fails bool) {
				switch {
				case strings.HasSuffix(r.URL.Path, "/files"):
					fails = lists.Add(1) == 1
				case r.Method == http.MethodGet:
					fails = reads.Add(1) == 1
				}
				if fails {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return fails
			}
			text, err := push(".", place)
			if err != nil || s.Puts != 0 || strings.Count(text, "already there") != 3 || lists.Load() != test.lists || reads.Load() != test.reads {
				t.Errorf("the same bytes: %v, %d listings, %d reads, want %d and %d\n%s", err, lists.Load(), reads.Load(), test.lists, test.reads, text)
			}
			s.Files["b"] = []byte("B")
			text, err = push(".", place)
			if err == nil || !strings.Contains(err.Error(), "b: the version has a file of that name, with other bytes") || strings.Count(text, "already there") != 2 {
				t.Errorf("other bytes of the same size: %v\n%s", err, text)
			}
		})
	}
}

// TestAnUploadWhoseNameIsTaken succeeds when the file that took it has the same bytes, whether
// the server says so when the upload begins or when it ends.
// Seen to fail, at each, when the refusal is the end.
func TestAnUploadWhoseNameIsTaken(t *testing.T) {
	for _, at := range []string{http.MethodPut, http.MethodPatch} {
		for taken, want := range map[string]string{"a": "", "b": "other bytes"} {
			s, place := clienttest.NewServer(t)
			t.Chdir(t.TempDir())
			if err := os.WriteFile("a", bytes.Repeat([]byte("a"), resumeFrom), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set(fieldInterop, interopVersion)
				w.Header().Set(fieldLimit, "min-size=0")
				switch {
				case r.Method == at:
					s.Files["a"] = bytes.Repeat([]byte(taken), resumeFrom)
					w.Header().Set(fieldComplete, "?1")
					w.WriteHeader(http.StatusConflict)
				case r.Method == http.MethodPut:
					w.Header().Set("Location", "/upload")
					w.WriteHeader(http.StatusCreated)
				}
				return r.Method != http.MethodHead && r.Method != http.MethodGet
			}
			text, err := push("a", place)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s is refused, and the file has %s: error is %v, want %q\n%s", at, taken, err, want, text)
			}
		}
	}
}

// TestPushTriesAFileAgainWhoseNameIsComputed by the server until it is published.
// Seen to fail when the computed bytes end the second try.
func TestPushTriesAFileAgainWhoseNameIsComputed(t *testing.T) {
	s, place := clienttest.NewServer(t)
	t.Chdir(newFolder(t, "SHA256SUMS"))
	puts := 0
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodHead && s.Files["SHA256SUMS"] == nil:
			w.Header().Set("ETag", `"`+strings.Repeat("0", 64)+`"`)
			return true
		case r.Method == http.MethodPut:
			if puts++; puts == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
		}
		return false
	}
	if text, err := push("SHA256SUMS", place); err != nil || s.Puts != 1 {
		t.Errorf("%d were published, %v; want one\n%s", s.Puts, err, text)
	}
}

// TestPushIsPatientWithAnUploadThatDoesNotBegin: only what the server has forgotten counts as
// forgotten. Seen to fail when each request to begin counts.
func TestPushIsPatientWithAnUploadThatDoesNotBegin(t *testing.T) {
	s, place := clienttest.NewServer(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a", bytes.Repeat([]byte("a"), resumeFrom), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := 0
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set(fieldInterop, interopVersion)
		w.Header().Set(fieldLimit, "min-size=0")
		status := map[string]int{"HEAD": 404, "OPTIONS": 204, "PUT": 201, "PATCH": 201}[r.Method]
		if r.Method == http.MethodPut {
			if asked++; asked <= begins {
				w.Header().Set("Retry-After", "0")
				status = http.StatusServiceUnavailable
			}
			w.Header().Set("Location", "/upload")
		}
		w.WriteHeader(status)
		return true
	}
	if text, err := push("a", place, "--patience", "1m"); err != nil || asked != begins+1 {
		t.Errorf("asked %d times for an upload, error is %v; want %d times and none\n%s", asked, err, begins+1, text)
	}
}
