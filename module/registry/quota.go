package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Quota is how much an owner may store. Zero is no limit.
type Quota struct {
	// Bytes of all files together; equal contents count as often as they were
	// published.
	Bytes int64
	// Versions of all packages together.
	Versions int64
}

// Usage is how much an owner stores, counted as a quota does.
type Usage struct{ Bytes, Versions int64 }

// Check reports whether an owner may have so much. ErrQuotaVersions,
// ErrQuotaBytes.
func (q Quota) Check(u Usage) error {
	if q.Versions > 0 && u.Versions > q.Versions {
		return ErrQuotaVersions
	}
	if q.Bytes > 0 && u.Bytes > q.Bytes {
		return ErrQuotaBytes
	}
	return nil
}

// checkQuota refuses, before the body, what the publish would refuse after it. It
// returns the content with a body that ends where the quota does. What is
// published meanwhile, the store counts in its transaction.
func (r *Registry) checkQuota(ctx context.Context, ref Ref, content Content, quota Quota) (Content, error) {
	if quota == (Quota{}) {
		return content, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	usage, err := r.metadata.Usage(ctx, ref.Owner)
	if err != nil {
		return content, fmt.Errorf("asking for the owner's usage: %w", err)
	}
	if quota.Versions > 0 && usage.Versions >= quota.Versions {
		if _, err := r.metadata.Lookup(ctx, ref); errors.Is(err, ErrPackageNotFound) {
			return content, ErrQuotaVersions
		}
	}
	if quota.Bytes == 0 {
		return content, nil
	}
	left := quota.Bytes - usage.Bytes
	if left < 0 || content.Size > left {
		return content, ErrQuotaBytes
	}
	content.Body = LimitBody(content.Body, left, ErrQuotaBytes)
	return content, nil
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
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.body.Read(p)
	if int64(n) > l.left {
		return int(l.left), l.err
	}
	l.left -= int64(n)
	return n, err
}
