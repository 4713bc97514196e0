package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// busyStore runs something after each version that is deleted.
type busyStore struct {
	store.MetadataStore
	then func()
}

func (s *busyStore) DeleteVersion(ctx context.Context, ref store.VersionRef, act store.Act) error {
	defer s.then()
	return s.MetadataStore.DeleteVersion(ctx, ref, act)
}

// TestAPackageThatIsPublishedIntoMeanwhile loses the versions that it had.
//
// Seen to fail where the versions are asked for until there is none.
func TestAPackageThatIsPublishedIntoMeanwhile(t *testing.T) {
	metadata := new(busyStore)
	var err error
	if metadata.MetadataStore, err = memory.NewMetadata().Open(); err != nil {
		t.Fatal(err)
	}
	blobs, err := memory.NewBlobs().Open()
	if err != nil {
		t.Fatal(err)
	}
	reg := registry.New(metadata, blobs, registry.Options{ScrubRate: -1})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	published := 0
	publish := func() {
		published++
		ref := store.Ref{VersionRef: store.VersionRef{Owner: "o", Package: "p", Version: fmt.Sprint(published)}, File: "f"}
		if _, err := reg.Publish(t.Context(), ref, "alice", registry.Content{Body: strings.NewReader("x"), Size: 1}, registry.Limits{}); err != nil {
			t.Fatal(err)
		}
	}
	const had = 5
	for range had {
		publish()
	}
	metadata.then = func() {
		if published == 3*had {
			t.Fatal("it goes on with what is published meanwhile")
		}
		publish()
	}
	query := store.VersionQuery{Owner: "o", Package: "p", Limit: 2}
	if err := removePublished(t.Context(), reg, query, "bob"); err != nil {
		t.Fatal(err)
	}
	left, err := reg.Versions(t.Context(), store.VersionQuery{Owner: "o", Package: "p", Limit: store.MaxPage})
	if err != nil || len(left.Versions) != had || left.Versions[had-1].Version != fmt.Sprint(had+1) {
		t.Errorf("%v: left are %+v", err, left.Versions)
	}
}
