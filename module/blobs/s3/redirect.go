package s3

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// redirect is what links to objects are made with.
type redirect struct {
	client *minio.Core // of the endpoint that clients can reach
	age    time.Duration
}

// RedirectURL implements remote.Redirector. Signing makes no request. What the object says of
// itself is in the link, and signed with it.
func (s *Store) RedirectURL(ctx context.Context, file store.File, header remote.Header) (string, error) {
	to := s.tuning().redirect
	if to == nil {
		return "", nil
	}
	key, err := s.place(file.Locator)
	if err != nil {
		return "", err
	}
	says := url.Values{
		"response-content-type":        {header.ContentType},
		"response-content-disposition": {header.ContentDisposition},
		"response-cache-control":       {header.CacheControl},
	}
	link, err := to.client.PresignedGetObject(ctx, s.bucket, key, to.age, says)
	if err != nil {
		return "", fmt.Errorf("%w: making a link: %w", store.ErrUnavailable, err)
	}
	return link.String(), nil
}
