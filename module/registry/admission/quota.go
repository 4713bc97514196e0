package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
	"github.com/generic-registry/caddy-generic-registry/module/transfer"
)

// quotaStep is after how many bytes of an upload the owner's quota is compared again.
const quotaStep = 1 << 20

// Quotas compares uploads with the quotas of owners, and counts the bytes of uploads in
// progress, which the metadata store does not know yet. All methods may run concurrently.
type Quotas struct {
	metadata store.MetadataStore
	load     func(context.Context) error

	mu      sync.Mutex
	arrived map[kind]int64
}

// kind is of bytes in progress that are compared together.
type kind struct {
	owner string // folded
	again bool   // they are those of a file that is there, and will take no room
}

// NewQuotas returns the quotas of a metadata store. The function load counts, with Add, the
// bytes of the uploads that an earlier process began. Quotas calls it before bytes matter.
func NewQuotas(metadata store.MetadataStore, load func(context.Context) error) *Quotas {
	return &Quotas{metadata: metadata, load: load, arrived: make(map[kind]int64)}
}

// Add counts bytes of uploads in progress more, or less, and returns how many there are of
// the folded owner. Those of files that are there come again, and count apart.
func (q *Quotas) Add(owner string, again bool, bytes int64) (all int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of := kind{owner, again}
	q.arrived[of] += bytes
	if all = q.arrived[of]; all == 0 {
		delete(q.arrived, of)
	}
	return all
}

// Publish is a file that somebody asks to publish.
type Publish struct {
	Ref store.Ref
	// Quota of the owner.
	Quota store.Quota
	// Draft publishes into a draft.
	Draft bool
	// OnDuplicate is what happens when the version has a file of that name.
	OnDuplicate store.OnDuplicate
	// Size of the bytes that are to come, -1 when unknown.
	Size int64
	// SHA256 is the digest that the client says the file has. Nil when it says none.
	SHA256 *store.Digest
	// Came is how many bytes of the file are here already.
	Came int64
}

// Check refuses, before the body, what the publish would refuse after it. It returns a body
// that ends where the quota does, and what counts the bytes that come. ErrQuotaBytes,
// ErrQuotaVersions, ErrQuotaFiles, ErrQuotaDrafts, ErrUnavailable.
func (q *Quotas) Check(ctx context.Context, p Publish, body io.Reader) (io.Reader, *Counted, error) {
	c := claim{Publish: p, quotas: q}
	if !p.Draft {
		c.Quota.Drafts = 0
	}
	if c.Quota == (store.Quota{}) {
		return body, nil, nil
	}
	at, err := c.standing(ctx)
	if err != nil {
		return body, nil, err
	}
	if err := q.load(ctx); err != nil {
		return body, nil, err
	}
	more, limit, refusal := max(0, p.Size), at.room, store.ErrQuotaBytes
	if at.notSame != nil {
		more = max(0, at.existing.Size-p.Came)
		limit, refusal = more, at.notSame
	} else if err := c.check(at); err != nil {
		return body, nil, err
	}
	if c.Quota.Bytes == 0 {
		return body, nil, nil
	}
	counted := &Counted{ctx: ctx, claim: c, body: transfer.LimitBody(body, limit, refusal), again: at.notSame != nil}
	if more > at.room-counted.count(0) {
		return body, nil, store.ErrQuotaBytes
	}
	return counted, counted, nil
}

// claim is what one more file would take of a quota.
type claim struct {
	Publish
	quotas *Quotas
}

// standing is how an owner stands before a publish.
type standing struct {
	usage      store.Usage // without what the publish replaces
	existing   *store.File // of that name, where the publish may take its place
	newVersion bool        // one more version would be too many, and the publish makes one
	notSame    error       // what the publish is refused with unless its bytes are those of existing
	room       int64       // what the owner's uploads in progress of this kind may have together
}

// standing asks for the usage of the owner, and for what a publish replaces.
func (c claim) standing(ctx context.Context) (at standing, err error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	if at.usage, err = c.quotas.metadata.Usage(ctx, c.Ref.Owner); err != nil {
		return at, fmt.Errorf("asking for the owner's usage: %w", err)
	}
	quota := c.Quota
	isFull := quota.Versions > 0 && at.usage.Versions >= quota.Versions || quota.Drafts > 0 && at.usage.Drafts >= quota.Drafts
	at.room = quota.Bytes - at.usage.Bytes
	if c.OnDuplicate == store.Reject && !isFull {
		return at, nil
	}
	lookup := c.quotas.metadata.Lookup
	if c.Draft {
		lookup = c.quotas.metadata.LookupDraft
	}
	existing, err := lookup(ctx, c.Ref)
	switch {
	case errors.Is(err, store.ErrPackageNotFound):
		at.newVersion = true
	case errors.Is(err, store.ErrFileNotFound):
	case err != nil:
		return at, fmt.Errorf("looking for what the publish replaces: %w", err)
	case c.OnDuplicate != store.Reject:
		at.existing = &existing
	}
	if at.existing != nil && c.OnDuplicate == store.Replace {
		at.usage.Files--
		at.room += existing.Size
	}
	if at.notSame = c.ifNotSame(at); at.notSame != nil {
		// The same bytes once more take nothing in the end: of these, as many as the quota may
		// come at once, and of a file that is larger than the quota, this file.
		at.room = max(quota.Bytes, existing.Size)
	}
	return at, nil
}

// ifNotSame returns what a publish is refused with when its bytes are not those that the
// name has: then the publish takes nothing of the quota. Nil when other bytes may be taken.
func (c claim) ifNotSame(at standing) error {
	switch {
	case at.existing == nil:
		return nil
	case c.SHA256 != nil && *c.SHA256 == at.existing.Digest:
		return store.ErrQuotaBytes
	case c.OnDuplicate == store.Same:
		return store.ErrExists
	}
	return nil
}

// check compares all but the bytes with the owner's quota, as the store will.
func (c claim) check(at standing) error {
	wanted, quota := at.usage, c.Quota
	if at.newVersion && quota.Drafts > 0 && wanted.Drafts >= quota.Drafts {
		return store.ErrQuotaDrafts
	}
	if at.newVersion {
		wanted.Versions++
	}
	wanted.Files++
	quota.Bytes = 0
	return quota.Check(wanted)
}

// Counted is a body of which the bytes that come count against the quota of its owner. End
// may be called of a nil one.
type Counted struct {
	ctx   context.Context
	claim claim
	body  io.Reader

	again     bool  // the kind that they count as
	counted   int64 // bytes that came, and count
	unchecked int64 // bytes that came since the quota was compared
}

// Read implements io.Reader. ErrQuotaBytes, ErrUnavailable.
func (c *Counted) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	c.count(int64(n))
	if c.unchecked += int64(n); c.unchecked < quotaStep {
		return n, err
	}
	c.unchecked = 0
	at, failed := c.claim.standing(c.ctx)
	if failed != nil {
		return 0, fmt.Errorf("%w: %w", store.ErrUnavailable, failed)
	}
	if now := at.notSame != nil; now != c.again { // somebody deleted the file, or published it
		bytes := c.counted
		c.End()
		c.again = now
		c.count(bytes)
	}
	if c.count(0) > at.room {
		return 0, store.ErrQuotaBytes
	}
	return n, err
}

// IsAgain tells whether the bytes are those of a file that is there, as far as is known.
func (c *Counted) IsAgain() bool { return c != nil && c.again }

// count counts bytes more, and returns all of that kind that came of the owner.
func (c *Counted) count(bytes int64) (all int64) {
	c.counted += bytes
	return c.claim.quotas.Add(store.Fold(c.claim.Ref.Owner), c.again, bytes)
}

// End takes back what was counted: nobody reads the bytes any more, or something else counts
// them. Bytes that come later count again.
func (c *Counted) End() {
	if c != nil {
		c.count(-c.counted)
	}
}
