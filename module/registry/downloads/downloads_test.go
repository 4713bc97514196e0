package downloads

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// unsureDownloads fails the second time.
type unsureDownloads struct {
	store.MetadataStore
	fail  error
	calls int
}

func (u *unsureDownloads) AddDownloads(ctx context.Context, all []store.Download) error {
	if u.calls++; u.calls == 2 {
		return u.fail
	}
	return u.MetadataStore.AddDownloads(ctx, all)
}

// TestDownloadsAreCountedOnce: what a store did not take is counted on, what it took, or may
// have taken, is not. Seen to fail with all downloads counted on after any error.
func TestDownloadsAreCountedOnce(t *testing.T) {
	for fail, waiting := range map[error]int{store.ErrUnavailable: store.MaxDownloads, context.DeadlineExceeded: 0} {
		metadata, err := memory.NewMetadata().Open()
		if err != nil {
			t.Fatal(err)
		}
		c := New(&unsureDownloads{MetadataStore: metadata, fail: fail}, time.Now)
		for i := range 3 * store.MaxDownloads {
			c.NoteDownload(store.File{ID: int64(i)})
		}
		if stored, err := c.StoreDownloads(t.Context()); stored != 2*store.MaxDownloads || !errors.Is(err, fail) {
			t.Errorf("%v: stored those of %d files, %v", fail, stored, err)
		}
		if left := len(c.take()); left != waiting {
			t.Errorf("%v: those of %d files are counted on, want %d", fail, left, waiting)
		}
		if err := metadata.Close(); err != nil {
			t.Error(err)
		}
	}
}
