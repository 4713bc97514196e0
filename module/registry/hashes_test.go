package registry

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/hashing"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestHashesAreComputedOnceAndKept was seen to fail with hashes that are not kept.
func TestHashesAreComputedOnceAndKept(t *testing.T) {
	r, _, _ := inMemory(t, Options{})
	defer mustClose(t, r)
	file := mustPublish(t, r, fileRef("1", "f"), "content", Limits{})
	results := make(chan string, 8)
	for range cap(results) {
		go func() {
			hashes, err := r.Hashes(context.Background(), file)
			results <- fmt.Sprint(hashes.MD5(), err)
		}()
	}
	want := fmt.Sprintf("%x%v", md5.Sum([]byte("content")), nil)
	for range cap(results) {
		if got := <-results; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	kept, err := r.Lookup(t.Context(), file.Ref)
	if err != nil || kept.Hashes.MD5() != want[:32] {
		t.Errorf("kept %q, %v", kept.Hashes.MD5(), err)
	}
	large := file
	large.Size = hashing.AtOnce + 1
	if _, err := r.Hashes(t.Context(), large); !errors.Is(err, hashing.ErrNotHashed) {
		t.Errorf("a large file: %v", err)
	}
}

// oddBlobs gives other bytes of a blob, or none until it is let go.
type oddBlobs struct {
	store.BlobStore
	other, hung store.Locator
	letGo       chan struct{}
}

func (o *oddBlobs) Open(ctx context.Context, locator store.Locator, size int64) (io.ReadSeekCloser, error) {
	content, err := o.BlobStore.Open(ctx, locator, size)
	switch locator {
	case o.other:
		return otherContent{content}, err
	case o.hung:
		<-o.letGo
	}
	return content, err
}

type otherContent struct{ io.ReadSeekCloser }

func (o otherContent) Read(p []byte) (int, error) {
	n, err := o.ReadSeekCloser.Read(p)
	for i := range p[:n] {
		p[i] ^= 1
	}
	return n, err
}

// TestHashesBesideABlobThatHangs: a disk that does not give one blob keeps no other from
// being hashed, and bytes that are not those of the digest are damage.
// Seen to fail with one worker, and with a mismatch that nobody is told of.
func TestHashesBesideABlobThatHangs(t *testing.T) {
	r, _, _ := inMemory(t, Options{Idle: true})
	hung := mustPublish(t, r, fileRef("1", "hung"), "hung", Limits{})
	good := mustPublish(t, r, fileRef("1", "good"), "good", Limits{})
	other := mustPublish(t, r, fileRef("1", "other"), "other", Limits{})
	odd := &oddBlobs{r.blobs, other.Locator, hung.Locator, make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	r = New(r.metadata, odd, Options{Idle: true})
	r.startBackground(ctx, time.Hour)
	defer func() {
		close(odd.letGo)
		stop()
		mustClose(t, r)
	}()
	r.AskHashes(hung)
	if _, err := r.Hashes(t.Context(), good); err != nil {
		t.Errorf("beside a blob that hangs: %v", err)
	}
	if _, err := r.Hashes(t.Context(), other); !errors.Is(err, store.ErrDamaged) {
		t.Errorf("of other bytes: error is %v, want %v", err, store.ErrDamaged)
	}
	if count, digests, err := r.metadata.Damaged(t.Context(), 2); err != nil || count != 1 || digests[0] != other.Digest {
		t.Errorf("damaged are %d, %v, %v; want the other bytes, %s", count, digests, err, other.Digest)
	}
}
