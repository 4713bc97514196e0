package module

import (
	"errors"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

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

// TestUsersOfPasswordsAreComparedFolded: two accounts that rules take for one user
// would have two passwords.
func TestUsersOfPasswordsAreComparedFolded(t *testing.T) {
	for name, users := range map[string][]string{
		"other case":      {"kim", "Kim"},
		"the Kelvin sign": {"\u212Aim"},
		"a token's form":  {"grt_x"},
	} {
		a := &Authenticator{Basic: new(caddyauth.HTTPBasicAuth)}
		for _, user := range users {
			a.Basic.AccountList = append(a.Basic.AccountList, caddyauth.Account{Username: user, Password: "x"})
		}
		if err := a.provisionBasic(caddyContext(t)); err == nil {
			t.Errorf("%s: %q are accepted", name, users)
		}
	}
}
