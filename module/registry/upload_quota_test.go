package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// slowToEnd are blobs that end a session only once they are let go.
type slowToEnd struct {
	store.BlobStore
	asked, goOn chan struct{}
}

func (s *slowToEnd) EndSession(ctx context.Context, id store.SessionID) error {
	close(s.asked)
	<-s.goOn
	return s.BlobStore.EndSession(ctx, id)
}

// unpublishing is metadata that takes no file while err is set.
type unpublishing struct {
	store.MetadataStore
	err error
}

func (u *unpublishing) Publish(ctx context.Context, publication store.Publication) (store.File, bool, error) {
	if u.err != nil {
		return store.File{}, false, u.err
	}
	return u.MetadataStore.Publish(ctx, publication)
}

// publishOther publishes a file of so many bytes beside the upload's.
func (f *uploadFixture) publishOther(size int) error {
	ref := uploadRef
	ref.File = "other"
	content := registry.Content{Body: strings.NewReader(strings.Repeat("x", size)), Size: int64(size)}
	_, err := f.Publish(context.Background(), ref, "alice", content, f.limits)
	return err
}

// TestAPublishedUploadCountsOnce against the quota, also while its session is still there.
// Seen to fail with bytes that count as the upload's until the session has ended.
func TestAPublishedUploadCountsOnce(t *testing.T) {
	f := newUploadFixture(t)
	slow := &slowToEnd{asked: make(chan struct{}), goOn: make(chan struct{})}
	f.wrapBlobs = func(opened store.BlobStore) store.BlobStore {
		slow.BlobStore = opened
		return slow
	}
	f.reopen()
	f.limits.Quota.Bytes = 10
	id := f.begin(6)
	ended := make(chan error, 1)
	go func() {
		_, err := f.send(id, 0, []byte("012345"), true)
		ended <- err
	}()
	<-slow.asked
	if err := f.publishOther(4); err != nil {
		t.Errorf("6 bytes of 10 are published, and 4 more: error is %v, want none", err)
	}
	close(slow.goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAnUploadThatCouldNotBePublishedCounts on, since its bytes are still there.
// Seen to fail with an upload that counts no more once it was tried.
func TestAnUploadThatCouldNotBePublishedCounts(t *testing.T) {
	f := newUploadFixture(t)
	metadata := &unpublishing{err: store.ErrUnavailable}
	f.wrap = func(opened store.MetadataStore) store.MetadataStore {
		metadata.MetadataStore = opened
		return metadata
	}
	f.reopen()
	f.limits.Quota.Bytes = 10
	id := f.begin(6)
	if _, err := f.send(id, 0, []byte("012345"), true); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the metadata takes no file: error is %v, want %v", err, store.ErrUnavailable)
	}
	metadata.err = nil
	if err := f.publishOther(5); !errors.Is(err, store.ErrQuotaBytes) {
		t.Errorf("6 bytes of 10 came, and 5 more: error is %v, want %v", err, store.ErrQuotaBytes)
	}
	if _, err := f.send(id, 6, nil, true); err != nil {
		t.Errorf("the last request again: %v", err)
	}
}
