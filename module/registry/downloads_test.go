package registry

import (
	"context"
	"errors"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestDownloadsReachTheStore was seen to fail without the last ones, which closing stores.
func TestDownloadsReachTheStore(t *testing.T) {
	r, names, _ := inMemory(t, Options{Idle: true})
	file := mustPublish(t, r, fileRef("1", "f"), "x", Limits{})
	for range 3 {
		r.NoteDownload(file)
	}
	if stored, err := r.storeDownloads(t.Context()); stored != 1 || err != nil {
		t.Errorf("stored those of %d files, %v", stored, err)
	}
	r.NoteDownload(file)
	mustClose(t, r)
	metadata, err := names.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer metadata.Close()
	if found, err := metadata.Lookup(t.Context(), file.Ref); err != nil || found.Downloads != 4 || found.Downloaded.IsZero() {
		t.Errorf("%d downloads, the last %v, want 4: %v", found.Downloads, found.Downloaded, err)
	}
	r.NoteDownload(file)
	if _, err := r.storeDownloads(t.Context()); err == nil || len(r.downloads.take()) != 1 {
		t.Errorf("what a closed store does not take is lost: %v", err)
	}
}

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
		r, _, _ := inMemory(t, Options{Idle: true})
		r.metadata = &unsureDownloads{MetadataStore: r.metadata, fail: fail}
		for i := range 3 * store.MaxDownloads {
			r.NoteDownload(store.File{Ref: fileRef("1", "f"), ID: int64(i)})
		}
		if stored, err := r.storeDownloads(t.Context()); stored != 2*store.MaxDownloads || !errors.Is(err, fail) {
			t.Errorf("%v: stored those of %d files, %v", fail, stored, err)
		}
		if left := len(r.downloads.take()); left != waiting {
			t.Errorf("%v: those of %d files are counted on, want %d", fail, left, waiting)
		}
		mustClose(t, r)
	}
}
