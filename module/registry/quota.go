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
// the owner's other uploads. The function ends the counting of what came: from then on
// the store counts it, in its transaction.
func (r *Registry) checkQuota(ctx context.Context, ref store.Ref, content Content, limits Limits) (Content, func(), error) {
	quota, none := limits.Quota, func() {}
	if quota == (store.Quota{}) {
		return content, none, nil
	}
	asking, cancel := store.Bounded(ctx)
	defer cancel()
	usage, err := r.metadata.Usage(asking, ref.Owner)
	if err != nil {
		return content, none, fmt.Errorf("asking for the owner's usage: %w", err)
	}
	if usage, err = r.withoutReplaced(asking, ref, usage, limits); err != nil {
		return content, none, err
	}
	if quota.Files > 0 && usage.Files >= quota.Files {
		return content, none, store.ErrQuotaFiles
	}
	if quota.Bytes == 0 {
		return content, none, nil
	}
	if err := r.loadUploads(ctx); err != nil {
		return content, none, err
	}
	left := quota.Bytes - usage.Bytes
	if left < 0 || content.Size > left-r.arrived.Add(store.Fold(ref.Owner), 0) {
		return content, none, store.ErrQuotaBytes
	}
	counted := &countedBody{ctx: ctx, registry: r, owner: store.Fold(ref.Owner), quota: quota.Bytes, body: LimitBody(content.Body, left, store.ErrQuotaBytes)}
	content.Body = counted
	return content, counted.end, nil
}

// withoutReplaced takes what the publish would replace off an owner's usage, and refuses a
// version more than there may be.
func (r *Registry) withoutReplaced(ctx context.Context, ref store.Ref, usage store.Usage, limits Limits) (store.Usage, error) {
	isFull := limits.Quota.Versions > 0 && usage.Versions >= limits.Quota.Versions
	if !isFull && limits.Duplicate() != store.Replace {
		return usage, nil
	}
	lookup := r.metadata.Lookup
	if limits.Draft {
		lookup = r.metadata.LookupDraft
	}
	existing, err := lookup(ctx, ref)
	switch {
	case err == nil && limits.Duplicate() == store.Replace:
		usage.Files--
		usage.Bytes -= existing.Size
	case errors.Is(err, store.ErrPackageNotFound) && isFull:
		return usage, store.ErrQuotaVersions
	}
	return usage, nil
}

// countedBody counts what comes against the quota of an owner.
type countedBody struct {
	ctx      context.Context
	registry *Registry
	owner    string // folded
	quota    int64
	body     io.Reader

	came, checked int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.came += int64(n)
	all := c.registry.arrived.Add(c.owner, int64(n))
	if c.came-c.checked < quotaStep {
		return n, err
	}
	c.checked = c.came
	asking, cancel := store.Bounded(c.ctx)
	defer cancel()
	usage, failed := c.registry.metadata.Usage(asking, c.owner)
	if failed != nil {
		return 0, fmt.Errorf("%w: asking for the owner's usage: %w", store.ErrUnavailable, failed)
	}
	if usage.Bytes+all > c.quota {
		return 0, store.ErrQuotaBytes
	}
	return n, err
}

// end counts nothing of the body any more, when nobody reads it. Ending twice is
// harmless.
func (c *countedBody) end() {
	c.registry.arrived.Add(c.owner, -c.came)
	c.came = 0
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
