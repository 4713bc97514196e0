package module

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// heldHash compares passwords when it is told to, and counts those that it compares.
type heldHash struct {
	goOn    chan struct{}
	running atomic.Int32
}

func (h *heldHash) Compare(_, _ []byte) (bool, error) {
	h.running.Add(1)
	defer h.running.Add(-1)
	<-h.goOn
	return true, nil
}

// TestAFewPasswordsAreHashedAtATime: the others wait for a place.
func TestAFewPasswordsAreHashedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const places, requests = 2, 8
		held := &heldHash{goOn: make(chan struct{})}
		bounded := &boundedHash{Comparer: held, places: make(chan struct{}, places), wait: hashWait}
		answers := make(chan error, requests)
		for range requests {
			go func() {
				good, err := bounded.Compare(nil, nil)
				if err == nil && !good {
					err = errors.New("refused")
				}
				answers <- err
			}()
		}
		for left := requests; left > 0; left-- {
			synctest.Wait()
			if got, want := int(held.running.Load()), min(places, left); got != want {
				t.Errorf("with %d requests left, %d passwords are hashed at once, want %d", left, got, want)
			}
			held.goOn <- struct{}{}
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAPasswordThatCannotBeCheckedIsNotRefused: the handler answers that the registry
// is not available, and outside of it a site that requires credentials answers 401.
func TestAPasswordThatCannotBeCheckedIsNotRefused(t *testing.T) {
	a, _ := newAuthenticator(t)
	taken := make(chan struct{}, 1)
	taken <- struct{}{}
	a.Basic.Hash = &boundedHash{Comparer: a.Basic.Hash, places: taken, wait: 1}
	r, w := requestWith("Basic YWxpY2U6c2VjcmV0"), httptest.NewRecorder()
	user, good, err := a.Authenticate(w, r)
	_, fault := visit.Token(r, pool.Key{Metadata: "of any registry"})
	if err != nil || !good || user.ID != "" || !errors.Is(fault, errHashesBusy) || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("user %q, %v, %v, fault %v, headers %v", user.ID, good, err, fault, w.Header())
	}
	a.Require = true
	if _, good, err := a.Authenticate(httptest.NewRecorder(), requestWith("Basic YWxpY2U6c2VjcmV0")); err != nil || good {
		t.Errorf("outside of the registry: %v, %v", good, err)
	}
}

// TestSettingsOfPasswordsThatCannotBe: two accounts that rules take for one user would have two
// passwords, and the realm of a registry is always the same.
//
// Seen to fail with names that are compared before their placeholders are replaced, and
// without the refusal of a realm.
func TestSettingsOfPasswordsThatCannotBe(t *testing.T) {
	t.Setenv("A", "ops")
	t.Setenv("B", "OPS")
	t.Setenv("TOKEN", "grt_x")
	for _, test := range []struct{ name, settings, want string }{
		{"two users", `"accounts": [{"username": "kim", "password": "eA=="}, {"username": "{env.A}", "password": "eA=="}]`, ""},
		{"other case", `"accounts": [{"username": "kim", "password": "eA=="}, {"username": "Kim", "password": "eA=="}]`, "users Kim and kim are one"},
		{"other case, of placeholders", `"accounts": [{"username": "{env.A}", "password": "eA=="}, {"username": "{env.B}", "password": "eA=="}]`, "users OPS and ops are one"},
		{"the Kelvin sign", `"accounts": [{"username": "\u212Aim", "password": "eA=="}]`, "cannot be a user"},
		{"a token's form", `"accounts": [{"username": "grt_x", "password": "eA=="}]`, "cannot be a user"},
		{"a token's form, of a placeholder", `"accounts": [{"username": "{env.TOKEN}", "password": "eA=="}]`, "cannot be a user"},
		{"a realm", `"realm": "X", "accounts": [{"username": "kim", "password": "eA=="}]`, `realm is "X"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := new(Authenticator)
			if err := json.Unmarshal([]byte(`{"basic": {`+test.settings+`}}`), a); err != nil {
				t.Fatal(err)
			}
			err := a.provisionBasic(caddyContext(t))
			if err == nil != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
