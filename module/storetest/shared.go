package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/binding"
)

// Shared runs what registries promise that have the same two stores open.
func Shared(t *testing.T, metadata MetadataPlace, blobs BlobPlace) {
	for name, test := range map[string]func(*sharedFixture){
		"8 open a new place at once, and it is one":                sharedOpening,
		"metadata is tied to its blobs":                            sharedBinding,
		"what one changes the others find at once":                 sharedChanges,
		"of racing publishes one wins, and its bytes are served":   sharedRace,
		"a quota is exact while all publish":                       sharedQuota,
		"what one deletes another one reaps, and nothing else":     sharedReaping,
		"damage that one finds all know, and any publish heals":    sharedDamage,
		"a token of one is for all, until one revokes it":          sharedTokens,
		"what the others changed is not taken for a loss":          sharedPosition,
		"bytes that another one swept get no name":                 sharedZombie,
		"an upload goes on at another one, for who began it":       sharedUpload,
		"who was overtaken with an upload tells nobody of success": sharedOvertaken,
		"bytes of an upload that another one gave up get no name":  sharedGivenUp,
		"an upload of one counts for all, and one ends it":         sharedUploadsEnd,
		"a duty is for one, until it lets it go":                   sharedDuties,
		"all know who is there":                                    sharedMeeting,
		"changes of all are told, in the order of each owner":      sharedTold,
		"bookmarks are of who read them last":                      sharedBookmarks,
		"changes are kept while one holds them":                    sharedHold,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("", func(t *testing.T) { test(newSharedFixture(t, metadata, blobs)) })
			goleak.VerifyNone(t, before)
		})
	}
}

// sharedFixture is three registries on one place, as of three processes.
type sharedFixture struct {
	testing.TB
	nodes        []*pairFixture
	openMetadata func() (store.MetadataStore, error)
	openBlobs    func() (store.BlobStore, error)
	others       BlobPlace
}

func newSharedFixture(t testing.TB, metadata MetadataPlace, blobs BlobPlace) *sharedFixture {
	f := &sharedFixture{TB: t, openMetadata: metadata(t), openBlobs: blobs(t), others: blobs}
	for i := range 3 {
		node := &pairFixture{TB: t, openMetadata: f.openMetadata, openBlobs: f.openBlobs, clock: time.Now, idle: true, node: numbered(i)}
		node.mustOpen()
		t.Cleanup(func() { node.noError(node.Registry.Close()) })
		node.noError(bindBoth(node.metadata, node.blobs))
		f.nodes = append(f.nodes, node)
	}
	return f
}

// bindBoth ties two stores to each other, as who opens them does.
func bindBoth(metadata store.MetadataStore, blobs store.BlobStore) error {
	if err := blobs.Bind(context.Background(), metadata.ID()); err != nil {
		return err
	}
	id, err := blobs.(store.Identified).BlobsID(context.Background())
	if err != nil {
		return err
	}
	return metadata.(binding.Metadata).BindBlobs(context.Background(), id)
}

// sharedOpening has a place of its own: that of the fixture is bound. What is a state, such as
// that another one is writing, passes.
func sharedOpening(f *sharedFixture) {
	openBlobs := f.others(f)
	ids := make([]string, 8)
	inParallel(len(ids), func(i int) {
		var blobs store.BlobStore
		var err error
		for range 100 {
			if blobs, err = openBlobs(); !errors.Is(err, store.ErrUnavailable) {
				break
			}
		}
		if err != nil {
			f.Errorf("opening: %v", err)
			return
		}
		for range 100 {
			if err = blobs.Bind(context.Background(), f.nodes[0].metadata.ID()); !errors.Is(err, store.ErrUnavailable) {
				break
			}
		}
		if err == nil {
			ids[i], err = blobs.(store.Identified).BlobsID(context.Background())
		}
		if err = errors.Join(err, blobs.Close()); err != nil {
			f.Errorf("binding: %v", err)
		}
	})
	for _, id := range ids {
		if id == "" || id != ids[0] {
			f.Errorf("the blobs have the IDs %q", ids)
		}
	}
}

func sharedBinding(f *sharedFixture) {
	blobs, err := f.others(f)()
	f.nodes[0].noError(err)
	f.nodes[0].wantError(bindBoth(f.nodes[0].metadata, blobs), store.ErrMismatch)
	f.nodes[0].noError(blobs.Close())
	for _, node := range f.nodes {
		node.noError(bindBoth(node.metadata, node.blobs))
	}
}
