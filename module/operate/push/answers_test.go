package push

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// TestPushFailsWhereNothingIsStored although each answer is a success: what answers is no
// registry.
//
// Seen to fail, each case, when any status below 300 counts as the success that was asked for.
// Seen to fail when a file counts as there of which HEAD tells neither a digest nor a size.
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
		"200 to a PUT": {
			answer: func(_ http.Header, r *http.Request) int {
				return map[string]int{"HEAD": 404, "OPTIONS": 405, "PUT": 200}[r.Method]
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
				return map[string]int{"HEAD": 404, "OPTIONS": 405, "PUT": 201, "POST": 204}[r.Method]
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
				w.WriteHeader(test.answer(w.Header(), r))
				return true
			}
			text, err := push(append([]string{"a", place}, test.arguments...)...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q\n%s", err, test.want, text)
			}
		})
	}
}
