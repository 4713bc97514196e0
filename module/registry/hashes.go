package registry

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// HashAtOnce is up to which size of a file Hashes waits for the hashes that it asks for.
	HashAtOnce = 64 << 20

	// hashQueue is how many blobs may wait to be hashed, of each kind.
	hashQueue = 1_000

	// hashers is how many blobs of up to HashAtOnce are hashed at once: one that a disk does
	// not give keeps no other from being hashed. Of larger ones, for which nobody waits, one
	// is hashed at a time.
	hashers = 3
)

// ErrNotHashed: the hashes of a file are not known now. They are being computed, unless
// too much else is.
var ErrNotHashed = errors.New("the hashes of the file are not known yet")

// hashing computes hashes of blobs. Whoever asks for those of one blob meanwhile waits for
// the same work.
type hashing struct {
	mu           sync.Mutex
	asked        map[store.Digest]*hashJob
	small, large chan *hashJob
}

type hashJob struct {
	digest store.Digest
	done   chan struct{} // closed when the others are set
	hashes store.Hashes
	err    error
}

func newHashing() hashing {
	return hashing{asked: make(map[store.Digest]*hashJob), small: make(chan *hashJob, hashQueue), large: make(chan *hashJob, hashQueue)}
}

// ask returns the work on a blob, nil when there is too much of it.
func (h *hashing) ask(blob store.Blob) *hashJob {
	h.mu.Lock()
	defer h.mu.Unlock()
	if job := h.asked[blob.Digest]; job != nil {
		return job
	}
	queue := h.small
	if blob.Size > HashAtOnce {
		queue = h.large
	}
	job := &hashJob{digest: blob.Digest, done: make(chan struct{})}
	select {
	case queue <- job:
		h.asked[blob.Digest] = job
		return job
	default:
		return nil
	}
}

func (h *hashing) end(job *hashJob) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.asked, job.digest)
	close(job.done)
}

// Hashes returns the MD5, the SHA-1 and the SHA-512 of a file. The first time they are
// computed from its bytes, and kept. It waits for that with files up to HashAtOnce, until
// ctx ends. ErrNotHashed when they are not known then, ErrDamaged.
func (r *Registry) Hashes(ctx context.Context, file store.File) (store.Hashes, error) {
	if file.Hashes.IsKnown() {
		return file.Hashes, nil
	}
	job := r.hashing.ask(file.Blob)
	if job == nil || file.Size > HashAtOnce {
		return "", ErrNotHashed
	}
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	select {
	case <-job.done:
		return job.hashes, job.err
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrNotHashed, ctx.Err())
	}
}

// AskHashes has the hashes of a file computed in the background, unless too much else is.
func (r *Registry) AskHashes(file store.File) {
	if !file.Hashes.IsKnown() {
		r.hashing.ask(file.Blob)
	}
}

// hashAll computes what is asked for in a queue until ctx ends.
func (r *Registry) hashAll(ctx context.Context, queue <-chan *hashJob) {
	for {
		select {
		case <-ctx.Done():
			return
		case job := <-queue:
			job.hashes, job.err = r.hash(ctx, job.digest)
			r.hashing.end(job)
		}
	}
}

func (r *Registry) hash(ctx context.Context, digest store.Digest) (store.Hashes, error) {
	blob, err := r.metadata.FindBlob(ctx, digest)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotHashed, err)
	}
	content, err := r.blobs.Open(ctx, blob.Locator, blob.Size)
	if err != nil {
		r.NoteDamage(ctx, blob, err)
		return "", fmt.Errorf("%w: opening blob: %w", ErrNotHashed, err)
	}
	defer content.Close()
	sum256, sumMD5, sum1, sum512 := sha256.New(), md5.New(), sha1.New(), sha512.New()
	read := &endingReader{ctx, content}
	if _, err := io.CopyBuffer(io.MultiWriter(sum256, sumMD5, sum1, sum512), read, make([]byte, 128<<10)); err != nil {
		r.NoteDamage(ctx, blob, err)
		return "", fmt.Errorf("%w: reading blob: %w", ErrNotHashed, err)
	}
	if err := r.Compare(ctx, blob, store.Digest(sum256.Sum(nil))); err != nil {
		return "", err
	}
	hashes := store.NewHashes(sumMD5.Sum(nil), sum1.Sum(nil), sum512.Sum(nil))
	if err := r.metadata.SetHashes(ctx, digest, hashes); err != nil && !errors.Is(err, store.ErrUnavailable) {
		return hashes, fmt.Errorf("keeping hashes: %w", err)
	}
	return hashes, nil
}

// endingReader reads until ctx ends.
type endingReader struct {
	ctx  context.Context
	from io.Reader
}

func (e *endingReader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.from.Read(p)
}
