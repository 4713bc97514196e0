package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// quotaStep is after how many bytes of an upload the owner's quota is compared again.
const quotaStep = 1 << 20

// arrivals counts the bytes that came of uploads in progress, by folded owner.
type arrivals struct {
	mu      sync.Mutex
	byOwner map[string]int64
}

// Add counts bytes more, or less, and returns how many there are of the owner.
func (a *arrivals) Add(owner string, bytes int64) (all int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byOwner == nil {
		a.byOwner = make(map[string]int64)
	}
	a.byOwner[owner] += bytes
	if all = a.byOwner[owner]; all == 0 {
		delete(a.byOwner, owner)
	}
	return all
}

// checkQuota refuses, before the body, what the publish would refuse after it. It
// returns the content with a body that ends where the quota does, with what came of
// the owner's other uploads, and what counts that body. Of the file came bytes are here
// already.
func (r *Registry) checkQuota(ctx context.Context, ref store.Ref, content Content, came int64, limits Limits) (Content, *countedBody, error) {
	q := quotaOf{registry: r, ref: ref, limits: limits}
	if !limits.Draft {
		q.limits.Quota.Drafts = 0
	}
	if q.limits.Quota == (store.Quota{}) {
		return content, nil, nil
	}
	at, err := q.standing(ctx)
	if err != nil {
		return content, nil, err
	}
	if refusal := at.ifNotSame(content, limits); refusal != nil {
		// The same bytes once more take nothing, whatever the owner has.
		content.Body = LimitBody(content.Body, max(0, at.existing.Size-came), refusal)
		return content, nil, nil
	}
	if err := r.loadUploads(ctx); err != nil {
		return content, nil, err
	}
	more := max(0, content.Size) + r.arrived.Add(store.Fold(ref.Owner), 0)
	if err := q.check(at, more); err != nil || q.limits.Quota.Bytes == 0 {
		return content, nil, err
	}
	counted := &countedBody{ctx: ctx, quota: q, body: LimitBody(content.Body, q.limits.Quota.Bytes-at.usage.Bytes, store.ErrQuotaBytes)}
	content.Body = counted
	return content, counted, nil
}

// quotaOf is what an owner may have with one more file.
type quotaOf struct {
	registry *Registry
	ref      store.Ref
	limits   Limits
}

// standing is how an owner stands before a publish.
type standing struct {
	usage      store.Usage // without what the publish replaces
	existing   *store.File // of that name, where the publish may take its place
	newVersion bool        // one more version would be too many, and the publish makes one
}

// standing asks for the usage of the owner, and for what a publish replaces.
func (q quotaOf) standing(ctx context.Context) (at standing, err error) {
	ctx, cancel := store.Bounded(ctx)
	defer cancel()
	if at.usage, err = q.registry.metadata.Usage(ctx, q.ref.Owner); err != nil {
		return at, fmt.Errorf("asking for the owner's usage: %w", err)
	}
	quota := q.limits.Quota
	isFull := quota.Versions > 0 && at.usage.Versions >= quota.Versions || quota.Drafts > 0 && at.usage.Drafts >= quota.Drafts
	if q.limits.Duplicate() == store.Reject && !isFull {
		return at, nil
	}
	lookup := q.registry.metadata.Lookup
	if q.limits.Draft {
		lookup = q.registry.metadata.LookupDraft
	}
	existing, err := lookup(ctx, q.ref)
	switch {
	case errors.Is(err, store.ErrPackageNotFound):
		at.newVersion = true
	case errors.Is(err, store.ErrFileNotFound):
	case err != nil:
		return at, fmt.Errorf("looking for what the publish replaces: %w", err)
	case q.limits.Duplicate() != store.Reject:
		at.existing = &existing
	}
	if at.existing != nil && q.limits.Duplicate() == store.Replace {
		at.usage.Files--
		at.usage.Bytes -= existing.Size
	}
	return at, nil
}

// ifNotSame returns what a publish is refused with when its bytes are not those that the
// name has: then the publish takes nothing of the quota. Nil when other bytes may be taken.
func (s standing) ifNotSame(content Content, limits Limits) error {
	switch {
	case s.existing == nil:
		return nil
	case content.SHA256 != nil && *content.SHA256 == s.existing.Digest:
		return store.ErrQuotaBytes
	case limits.Duplicate() == store.Same:
		return store.ErrExists
	}
	return nil
}

// check compares what the owner would have with its quota, as the store will.
func (q quotaOf) check(at standing, bytes int64) error {
	wanted, quota := at.usage, q.limits.Quota
	if at.newVersion && quota.Drafts > 0 && wanted.Drafts >= quota.Drafts {
		return store.ErrQuotaDrafts
	}
	if at.newVersion {
		wanted.Versions++
	}
	wanted.Files++
	wanted.Bytes += bytes
	return quota.Check(wanted)
}

// countedBody counts what comes against the quota of an owner. Its methods that end the
// counting may be called of a nil one.
type countedBody struct {
	ctx   context.Context
	quota quotaOf
	body  io.Reader

	counted   int64 // bytes that came, and count
	unchecked int64 // bytes that came since the quota was compared
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	all := c.count(int64(n))
	if c.unchecked += int64(n); c.unchecked < quotaStep {
		return n, err
	}
	c.unchecked = 0
	at, failed := c.quota.standing(c.ctx)
	if failed != nil {
		return 0, fmt.Errorf("%w: %w", store.ErrUnavailable, failed)
	}
	if at.usage.Bytes+all > c.quota.limits.Quota.Bytes {
		return 0, store.ErrQuotaBytes
	}
	return n, err
}

// count counts bytes more, and returns all that came of the owner.
func (c *countedBody) count(bytes int64) (all int64) {
	c.counted += bytes
	return c.quota.registry.arrived.Add(store.Fold(c.quota.ref.Owner), bytes)
}

// end counts nothing of what came any more: nobody reads it, or something else counts it.
// What comes later counts again.
func (c *countedBody) end() {
	if c != nil {
		c.count(-c.counted)
	}
}

// LimitBody returns a reader that gives at most limit bytes, and err instead of
// more.
func LimitBody(body io.Reader, limit int64, err error) io.Reader {
	return &limitedBody{body: body, left: limit, err: err}
}

type limitedBody struct {
	body io.Reader
	left int64
	err  error
}

func (l *limitedBody) Read(p []byte) (int, error) {
	// One byte more than allowed tells what fits from what does not.
	if int64(len(p))-1 > l.left {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if int64(n) > l.left {
		return int(l.left), l.err
	}
	l.left -= int64(n)
	return n, err
}
