package client

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestEachEndsWhatItHasBegun: a file is refused, as for a quota, while another one is on its way.
// Seen to fail with an Each that cancels what is on its way, and with one that begins more.
func TestEachEndsWhatItHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []int
		err := Each(t.Context(), 2, []int{1, 2, 3}, func(ctx context.Context, item int) error {
			time.Sleep(time.Duration(item) * time.Second)
			if item == 1 {
				return &answerError{status: http.StatusForbidden}
			}
			if ctx.Err() == nil {
				ended = append(ended, item)
			}
			return ctx.Err()
		})
		if Status(err) != http.StatusForbidden || !slices.Equal(ended, []int{2}) {
			t.Errorf("the items %d came to their end, and the error is %v, want the second and a 403", ended, err)
		}
	})
}
