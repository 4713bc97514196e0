package visit

import (
	"fmt"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// TestRetryAfterIsWhenTheStoreIsTriedAgain: it grows with the interval.
func TestRetryAfterIsWhenTheStoreIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{store.ErrUnavailable, "2"},
		{&waiting.Retried{Err: store.ErrDamaged, Interval: time.Minute}, "60"},
		{fmt.Errorf("opening: %w", &waiting.Retried{Err: store.ErrNoSpace, Interval: 4500 * time.Millisecond}), "5"},
	} {
		if got := retryAfter(test.err); got != test.want {
			t.Errorf("%v: Retry-After is %s, want %s", test.err, got, test.want)
		}
	}
}
