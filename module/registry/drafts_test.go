package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// inMemory is a registry whose clock a test turns.
func inMemory(t *testing.T, options Options) (*Registry, *memory.Metadata, *memory.Blobs) {
	t.Helper()
	names, bytes := memory.NewMetadata(), memory.NewBlobs()
	return over(t, names, bytes, options), names, bytes
}

func over(t *testing.T, names *memory.Metadata, bytes *memory.Blobs, options Options) *Registry {
	t.Helper()
	metadata, err := names.Open()
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := bytes.Open()
	if err != nil {
		t.Fatal(err)
	}
	return New(metadata, blobs, options)
}

func fileRef(version, file string) store.Ref {
	return store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: version}, File: file}
}

func mustPublish(t *testing.T, r *Registry, ref store.Ref, content string, limits Limits) store.File {
	t.Helper()
	file, err := r.Publish(context.Background(), ref, "u", Content{Body: strings.NewReader(content), Size: int64(len(content))}, limits)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func mustClose(t *testing.T, r *Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestDraftsEndAfterTheirTime was seen to fail with published versions that end too.
func TestDraftsEndAfterTheirTime(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return time.Unix(now.Load(), 0) }
	r, _, _ := inMemory(t, Options{Idle: true, Now: clock})
	defer mustClose(t, r)
	r.KeepDrafts(time.Hour)
	mustPublish(t, r, fileRef("plain", "f"), "x", Limits{})
	old := mustPublish(t, r, fileRef("old", "f"), "x", Limits{Draft: true})
	released := mustPublish(t, r, fileRef("released", "f"), "x", Limits{Draft: true})
	if _, err := r.PublishDraft(t.Context(), released.VersionRef, nil, "u"); err != nil {
		t.Fatal(err)
	}
	now.Store(3600)
	mustPublish(t, r, fileRef("young", "f"), "x", Limits{Draft: true})
	for _, want := range []int{0, 1, 0} {
		ended, err := r.EndDrafts(t.Context())
		if err != nil || ended != want {
			t.Errorf("%d drafts ended, want %d: %v", ended, want, err)
		}
		now.Store(3601)
	}
	if _, err := r.LookupDraft(t.Context(), old.Ref); !errors.Is(err, store.ErrPackageNotFound) {
		t.Errorf("the old draft: %v", err)
	}
	for _, version := range []string{"plain", "released"} {
		if _, err := r.Lookup(t.Context(), fileRef(version, "f")); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	if _, err := r.LookupDraft(t.Context(), fileRef("young", "f")); err != nil {
		t.Errorf("the young draft: %v", err)
	}
}

// TestNoDraftEndsBeforeItIsKnownForHowLongTheyAreKept: the background work begins with the
// registry, and KeepDrafts comes after it.
//
// Seen to fail with rounds that go by DefaultDraftTTL until then.
func TestNoDraftEndsBeforeItIsKnownForHowLongTheyAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metadata, err := memory.NewMetadata().Open()
		if err != nil {
			t.Fatal(err)
		}
		blobs, err := memory.NewBlobs().Open()
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		draft := fileRef("1", "f")
		_, _, err = metadata.Publish(t.Context(), store.Publication{
			Ref: draft, Blob: store.Blob{Locator: store.NewLocator(1)}, Stored: metadata.Clock(), Created: time.Now().Add(-10 * day), Draft: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		r := New(metadata, blobs, Options{ScrubRate: -1})
		defer mustClose(t, r)
		for _, step := range []struct {
			keep func()
			want error
		}{
			{func() {}, nil},
			{func() { r.KeepDrafts(30 * day) }, nil},
			{func() { r.KeepDrafts(0) }, store.ErrPackageNotFound},
		} {
			step.keep()
			time.Sleep(2 * draftInterval)
			synctest.Wait()
			if _, err := r.LookupDraft(t.Context(), draft); !errors.Is(err, step.want) {
				t.Fatalf("the draft: %v, want %v", err, step.want)
			}
		}
	})
}

// TestTheCheckBeforeTheBodyAgreesWithThePublish: both refuse the same requests.
func TestTheCheckBeforeTheBodyAgreesWithThePublish(t *testing.T) {
	r, _, _ := inMemory(t, Options{Idle: true})
	defer mustClose(t, r)
	mustPublish(t, r, fileRef("published", "f"), "x", Limits{})
	mustPublish(t, r, fileRef("draft", "f"), "x", Limits{Draft: true})
	for _, test := range []struct {
		version, file, content string
		limits                 Limits
		want, after            error
	}{
		{"published", "f", "y", Limits{}, store.ErrExists, store.ErrExists},
		{"published", "new", "y", Limits{}, nil, nil},
		{"published", "f", "x", Limits{OnDuplicate: store.Same}, nil, nil},
		{"published", "f", "y", Limits{OnDuplicate: store.Same}, nil, store.ErrExists},
		{"published", "f", "y", Limits{OnDuplicate: store.Replace, Immutable: true}, nil, store.ErrExists},
		{"draft", "f", "y", Limits{OnDuplicate: store.Replace, Immutable: true, Draft: true}, nil, nil},
		{"published", "f", "y", Limits{OnDuplicate: store.Replace}, nil, nil},
		{"published", "f", "yy", Limits{OnDuplicate: store.Replace, Quota: store.Quota{Files: 3, Bytes: 4, Versions: 2}}, nil, nil},
		{"published", "g", "y", Limits{Draft: true}, store.ErrNotDraft, store.ErrNotDraft},
		{"draft", "f", "y", Limits{}, store.ErrDraft, store.ErrDraft},
		{"draft", "g", "y", Limits{}, store.ErrDraft, store.ErrDraft},
		{"draft", "f", "y", Limits{Draft: true}, store.ErrExists, store.ErrExists},
		{"draft", "g", "y", Limits{Draft: true}, nil, nil},
		{"none", "g", "y", Limits{Draft: true}, nil, nil},
		{"another", "g", "y", Limits{}, nil, nil},
	} {
		name := fmt.Sprintf("%s/%s %+v", test.version, test.file, test.limits)
		if _, _, err := r.CheckPublish(t.Context(), fileRef(test.version, test.file), test.limits); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: before the body %v, want %v", name, err, test.want)
		}
		_, err := r.Publish(t.Context(), fileRef(test.version, test.file), "u", Content{Body: strings.NewReader(test.content), Size: int64(len(test.content))}, test.limits)
		if !errors.Is(err, test.after) || (err == nil) != (test.after == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.after)
		}
	}
}

// unendingDrafts cannot delete one draft.
type unendingDrafts struct {
	store.MetadataStore
	damaged string
}

func (u *unendingDrafts) DeleteDraft(ctx context.Context, ref store.VersionRef, before time.Time, act store.Act) error {
	if ref.Version == u.damaged {
		return store.ErrDamaged
	}
	return u.MetadataStore.DeleteDraft(ctx, ref, before, act)
}

// TestADraftThatCannotBeDeletedDoesNotKeepOtherDrafts was seen to fail with a clean-up that
// ends at the first error.
func TestADraftThatCannotBeDeletedDoesNotKeepOtherDrafts(t *testing.T) {
	later := time.Now().Add(2 * DefaultDraftTTL)
	r, _, _ := inMemory(t, Options{Idle: true, Now: func() time.Time { return later }})
	defer mustClose(t, r)
	r.KeepDrafts(0)
	r.metadata = &unendingDrafts{r.metadata, "1"}
	for i := range 2*draftBatch + 1 {
		_, _, err := r.metadata.Publish(t.Context(), store.Publication{
			Ref: fileRef(fmt.Sprint(i+1), "f"), Blob: store.Blob{Locator: store.NewLocator(1), Digest: store.Digest{byte(i), byte(i >> 8)}},
			Stored: r.metadata.Clock(), Created: time.Unix(int64(i), 0), Draft: true,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if ended, err := r.EndDrafts(t.Context()); ended != 2*draftBatch || !errors.Is(err, store.ErrDamaged) {
		t.Errorf("%d drafts ended, want %d; error is %v, want %v", ended, 2*draftBatch, err, store.ErrDamaged)
	}
}
