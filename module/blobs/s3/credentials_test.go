package s3

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAMachineThatHasNoCredentialsYet starts: its role may be told later. Seen to fail with the
// library's chain, which asks for the bucket as nobody, so that the server's refusal was a fault of
// the configuration.
func TestAMachineThatHasNoCredentialsYet(t *testing.T) {
	roles := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer roles.Close()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_PROFILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", roles.URL)
	server := httptest.NewServer(answering{status: http.StatusForbidden, body: coded("AccessDenied")})
	defer server.Close()
	b := backendOf(t, server.URL, 5*time.Second)
	b.key, b.secret = "", ""
	_, err := b.OpenBlobs(t.Context(), "", slog.New(slog.DiscardHandler))
	if !store.IsState(err) {
		t.Errorf("opening: %v is a fault of the configuration, want a state that may pass", err)
	}
	if why := "503 Service Unavailable"; err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("opening: error is %v, want one that says %q", err, why)
	}
}
