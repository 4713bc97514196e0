package push

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// TestPushToAServerThatDoesNotRead, and keeps the connection open: push tries again, and ends
// when the server still does not read.
// Seen to hang without the watchdog.
func TestPushToAServerThatDoesNotRead(t *testing.T) {
	const size = 16 << 20 // more than connections hold
	for name, test := range map[string]struct {
		times    int32
		patience string
	}{"once": {1, "3s"}, "always": {1000, "1s"}} {
		t.Run(name, func(t *testing.T) {
			s, place := clienttest.NewServer(t)
			t.Chdir(t.TempDir())
			if err := os.WriteFile("large", make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
			release, asked := make(chan struct{}), atomic.Int32{}
			t.Cleanup(func() { close(release) }) // before the server ends
			s.Before = func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || asked.Add(1) > test.times {
					return false
				}
				<-release
				return true
			}
			text, err := push("--patience", test.patience, "large", place)
			switch {
			case test.times == 1 && (err != nil || len(s.Files["large"]) != size):
				t.Errorf("%d bytes were published, %v\n%s", len(s.Files["large"]), err, text)
			case test.times > 1 && (err == nil || !strings.Contains(err.Error(), "the server takes and sends nothing for 1s (tried for 1s)")):
				t.Errorf("error is %v\n%s", err, text)
			}
		})
	}
}
