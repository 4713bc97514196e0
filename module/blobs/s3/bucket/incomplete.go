package bucket

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Multipart names a multipart upload that was not completed.
type Multipart struct{ Key, Upload string }

// Drop drops the parts of a multipart upload. One that is not there is not an error.
func (b *Bucket) Drop(ctx context.Context, m Multipart) error {
	if m.Upload == "" {
		return nil
	}
	err := b.request(ctx, "dropping a multipart upload", func(ctx context.Context, client *minio.Core) error {
		return client.AbortMultipartUpload(ctx, b.name, m.Key, m.Upload)
	})
	if errors.Is(err, errNoUpload) {
		return nil
	}
	return err
}

// Incomplete returns the multipart uploads under a prefix that began before a time.
func (b *Bucket) Incomplete(ctx context.Context, prefix string, before time.Time) (old []Multipart, err error) {
	var key, upload string
	for {
		var page minio.ListMultipartUploadsResult
		err := b.request(ctx, "listing multipart uploads", func(ctx context.Context, client *minio.Core) (err error) {
			page, err = client.ListMultipartUploads(ctx, b.name, prefix, key, upload, "", 1000)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, found := range page.Uploads {
			if found.Initiated.Before(before) {
				old = append(old, Multipart{found.Key, found.UploadID})
			}
		}
		if !page.IsTruncated {
			return old, nil
		}
		if page.NextKeyMarker == key && page.NextUploadIDMarker == upload {
			return nil, fmt.Errorf("%w: the list of multipart uploads does not end", store.ErrUnavailable)
		}
		key, upload = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// IsWritten tells whether a part of an upload has come since a time: whoever sends it may be
// another process.
func (b *Bucket) IsWritten(ctx context.Context, m Multipart, since time.Time) (bool, error) {
	for last := 0; ; {
		var page minio.ListObjectPartsResult
		err := b.request(ctx, "listing the parts of a multipart upload", func(ctx context.Context, client *minio.Core) (err error) {
			page, err = client.ListObjectParts(ctx, b.name, m.Key, m.Upload, last, 1000)
			return err
		})
		if errors.Is(err, errNoUpload) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(page.ObjectParts, func(p minio.ObjectPart) bool { return !p.LastModified.Before(since) }) {
			return true, nil
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= last {
			return false, nil
		}
		last = page.NextPartNumberMarker
	}
}
