package badger

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/journal"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestBytesOfARefusedPublish are gone at once when the disk is full, which is when
// their room is needed; and stay when nobody knows what became of the publish.
func TestBytesOfARefusedPublish(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		left int
	}{
		{"no room", syscall.ENOSPC, 0},
		{"unclear", errors.Join(journal.ErrUnclear, syscall.EIO), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			metadata := mustOpen(t, t.TempDir())
			blobs, err := blobPlace(t)()
			if err != nil {
				t.Fatal(err)
			}
			r := registry.New(metadata, blobs, registry.Options{Idle: true})
			defer func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}()
			metadata.committer.Lock()
			metadata.appendTo = func(*journal.Journal, []store.Change) (store.Position, error) {
				return store.Position{}, test.err
			}
			metadata.committer.Unlock()
			body := registry.Content{Body: strings.NewReader("content"), Size: 7}
			_, err = r.Publish(context.Background(), numberedRef("o", 1), "u", body, registry.Limits{})
			if err == nil || errors.Is(err, store.ErrNoSpace) != (test.left == 0) {
				t.Errorf("publishing: %v", err)
			}
			left := 0
			err = blobs.Walk(t.Context(), func(store.Locator, int64, time.Time) error { left++; return nil })
			if err != nil || left != test.left {
				t.Errorf("%d blobs are left, %v; want %d", left, err, test.left)
			}
		})
	}
}
