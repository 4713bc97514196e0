package push

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/operate/client/clienttest"
)

// TestPushDoesNotAskAgainForAnUploadWithoutAPath: the server would answer the same.
// Seen to fail when the error passes.
func TestPushDoesNotAskAgainForAnUploadWithoutAPath(t *testing.T) {
	s, place := clienttest.NewServer(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("large", make([]byte, resumeFrom), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := 0
	s.Before = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case http.MethodOptions:
			w.Header().Set(fieldInterop, interopVersion)
			w.Header().Set(fieldLimit, "max-size=1000000000")
			return true
		case http.MethodPut:
			begun++
			w.WriteHeader(http.StatusCreated)
			return true
		}
		return false
	}
	text, err := push("large", place)
	if err == nil || begun != 1 || !strings.Contains(err.Error(), "does not say the path of this upload") || strings.Contains(err.Error(), "tried for") {
		t.Errorf("the upload was begun %d times, error is %v\n%s", begun, err, text)
	}
}
