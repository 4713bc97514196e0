package admin

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestAStoreThatFailsIsNotAvailable, also when the cause is damage of its database: a client
// asks again. Seen to fail with the code of damage.
func TestAStoreThatFailsIsNotAvailable(t *testing.T) {
	var refused *refusal
	err := storeError(fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrDamaged))
	if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable || refused.Code != CodeUnavailable {
		t.Errorf("got %+v, want status %d with the code %s", refused, http.StatusServiceUnavailable, CodeUnavailable)
	}
}
