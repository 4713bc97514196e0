// Package hashing computes the hashes of blobs that are not their digest: MD5, SHA-1 and
// SHA-512. Each is computed once, in the background, and kept with the blob.
package hashing

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

const (
	// AtOnce is up to which size of a file, in bytes, Hashes waits for the hashes that it asks for.
	AtOnce = 64 << 20

	// queueSize is how many blobs may wait to be hashed, of each kind.
	queueSize = 1_000

	// workers is how many blobs of up to AtOnce are hashed at once: one that a disk does
	// not give keeps no other from being hashed. Of larger ones, for which nobody waits, one
	// is hashed at a time.
	workers = 3
)

// ErrNotHashed: the hashes of a file are not known now. They are being computed, unless
// too much else is.
var ErrNotHashed = errors.New("the hashes of the file are not known yet")

// Hasher computes hashes of blobs. Whoever asks for those of one blob meanwhile waits for
// the same work. All methods may run concurrently.
type Hasher struct {
	metadata store.MetadataStore
	blobs    store.BlobStore
	keeper   *integrity.Keeper

	mu           sync.Mutex
	asked        map[store.Digest]*job
	small, large chan *job
}

type job struct {
	digest store.Digest
	done   chan struct{} // closed when the others are set
	hashes store.Hashes
	err    error
}

// New returns a hasher of the blobs of two open stores, which stay the caller's. The keeper
// is told of bytes that are not those of their digest.
func New(metadata store.MetadataStore, blobs store.BlobStore, keeper *integrity.Keeper) *Hasher {
	return &Hasher{
		metadata: metadata, blobs: blobs, keeper: keeper,
		asked: make(map[store.Digest]*job), small: make(chan *job, queueSize), large: make(chan *job, queueSize),
	}
}

// Run computes what is asked for until ctx ends.
func (h *Hasher) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { h.work(ctx, h.small) })
	}
	all.Go(func() { h.work(ctx, h.large) })
	all.Wait()
}

// ask returns the work on a blob, nil when there is too much of it.
func (h *Hasher) ask(blob store.Blob) *job {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known := h.asked[blob.Digest]; known != nil {
		return known
	}
	queue := h.small
	if blob.Size > AtOnce {
		queue = h.large
	}
	asked := &job{digest: blob.Digest, done: make(chan struct{})}
	select {
	case queue <- asked:
		h.asked[blob.Digest] = asked
		return asked
	default:
		return nil
	}
}

func (h *Hasher) end(ended *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, ended.digest)
	close(ended.done)
}

// Hashes returns the MD5, the SHA-1 and the SHA-512 of a file. The first time they are
// computed from its bytes, and kept. It waits for that with files up to AtOnce, until
// ctx ends. ErrNotHashed when they are not known then, ErrDamaged.
func (h *Hasher) Hashes(ctx context.Context, file store.File) (store.Hashes, error) {
	if file.Hashes.IsKnown() {
		return file.Hashes, nil
	}
	asked := h.ask(file.Blob)
	if asked == nil || file.Size > AtOnce {
		return "", ErrNotHashed
	}
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	select {
	case <-asked.done:
		return asked.hashes, asked.err
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrNotHashed, ctx.Err())
	}
}

// AskHashes has the hashes of a file computed in the background, unless too much else is.
func (h *Hasher) AskHashes(file store.File) {
	if !file.Hashes.IsKnown() {
		h.ask(file.Blob)
	}
}

// work computes what waits in a queue until ctx ends.
func (h *Hasher) work(ctx context.Context, queue <-chan *job) {
	for {
		select {
		case <-ctx.Done():
			return
		case next := <-queue:
			next.hashes, next.err = h.hash(ctx, next.digest)
			h.end(next)
		}
	}
}

func (h *Hasher) hash(ctx context.Context, digest store.Digest) (store.Hashes, error) {
	blob, err := h.metadata.FindBlob(ctx, digest)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotHashed, err)
	}
	content, err := h.blobs.Open(ctx, blob.Locator, blob.Size)
	if err != nil {
		h.keeper.NoteDamage(ctx, blob, err)
		return "", fmt.Errorf("%w: opening blob: %w", ErrNotHashed, err)
	}
	defer content.Close()
	sumMD5, sum1, sum512 := md5.New(), sha1.New(), sha512.New()
	found, err := transfer.Hash(content, blob.Size, func(piece []byte) error {
		for _, sum := range []hash.Hash{sumMD5, sum1, sum512} {
			sum.Write(piece)
		}
		return ctx.Err()
	})
	if err != nil {
		h.keeper.NoteDamage(ctx, blob, err)
		return "", fmt.Errorf("%w: reading blob: %w", ErrNotHashed, err)
	}
	if err := h.keeper.Compare(ctx, blob, found); err != nil {
		return "", err
	}
	hashes := store.NewHashes(sumMD5.Sum(nil), sum1.Sum(nil), sum512.Sum(nil))
	if err := h.metadata.SetHashes(ctx, digest, hashes); err != nil && !errors.Is(err, store.ErrUnavailable) {
		return hashes, fmt.Errorf("keeping hashes: %w", err)
	}
	return hashes, nil
}
