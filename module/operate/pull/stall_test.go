package pull

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// TestPullFromAServerThatFallsSilent, and keeps the connection open: pull tries again, goes on
// where it was, and ends when the server stays silent.
// Seen to hang without the watchdog, and to fail at the first silence when that error is final.
func TestPullFromAServerThatFallsSilent(t *testing.T) {
	half := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Length", "8")
		_, _ = w.Write([]byte(text))
		_ = http.NewResponseController(w).Flush()
	}
	for name, test := range map[string]struct {
		of    string // the end of the path that is answered so
		sends func(http.ResponseWriter)
		times int32
		waits string // the patience
	}{
		"once in a file":   {"/1.0/a", func(w http.ResponseWriter) { half(w, "cont") }, 1, "3s"},
		"always in a file": {"/1.0/a", func(w http.ResponseWriter) { half(w, "cont") }, 1000, "1s"},
		"before an answer": {"/1.0/a", func(http.ResponseWriter) {}, 1000, "1s"},
		"in the listing": {"/files", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			half(w, `[{"n`)
		}, 1000, "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			s, place := clienttest.NewServer(t)
			s.Files["a"] = []byte("contents")
			release, asked := make(chan struct{}), atomic.Int32{}
			t.Cleanup(func() { close(release) }) // before the server ends
			s.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, test.of) || asked.Add(1) > test.times {
					return false
				}
				test.sends(w)
				<-release
				return true
			}
			t.Chdir(t.TempDir())
			text, err := pull("--patience", test.waits, place)
			if test.times > 1 {
				if err == nil || !strings.Contains(err.Error(), "the server takes and sends nothing for 1s (tried for 1s)") {
					t.Errorf("error is %v\n%s", err, text)
				}
				return
			}
			if got, read := os.ReadFile("a"); err != nil || string(got) != "contents" || strings.Join(s.Ranges, " ") != "bytes=4-" {
				t.Errorf("a is %q, %v, after the ranges %q; %v\n%s", got, read, s.Ranges, err, text)
			}
		})
	}
}
