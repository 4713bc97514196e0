package bucket

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/remote"
)

// Link returns a link to an object that works for a while, for whoever has it. Signing makes
// no request. What the object says of itself is in the link, and signed with it. It is empty
// when the settings do not say where clients reach the server.
func (b *Bucket) Link(ctx context.Context, key string, age time.Duration, header remote.Header) (string, error) {
	public := b.connected.Load().public
	if public == nil {
		return "", nil
	}
	says := url.Values{
		"response-content-type":        {header.ContentType},
		"response-content-disposition": {header.ContentDisposition},
		"response-cache-control":       {header.CacheControl},
	}
	link, err := public.PresignedGetObject(ctx, b.name, key, age, says)
	if err != nil {
		return "", fmt.Errorf("%w: making a link: %w", store.ErrUnavailable, err)
	}
	return link.String(), nil
}
