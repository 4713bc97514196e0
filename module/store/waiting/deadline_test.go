package waiting

import (
	"context"
	"testing"
)

// TestBytesBecomeDurableWithoutTheirClient: a commit goes on, for a bounded time.
// Seen to fail with a context that ends with the client's.
func TestBytesBecomeDurableWithoutTheirClient(t *testing.T) {
	client, leave := context.WithCancel(t.Context())
	ctx, cancel := Committing(client, 1)
	defer cancel()
	leave()
	if err := ctx.Err(); err != nil {
		t.Errorf("the client has gone: %v, want no error", err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		t.Error("a commit has no deadline, want one")
	}
}
