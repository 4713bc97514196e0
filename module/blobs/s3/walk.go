package s3

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// errEnough ends a list.
var errEnough = errors.New("the list is not needed any further")

// list calls fn for the objects under a prefix, until it returns an error; errEnough is none.
// Most is how many a request asks for, zero as many as the server gives.
func (s *Store) list(ctx context.Context, prefix string, most int, fn func(minio.ObjectInfo) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	dog := watch(ctx, s.tuning().timeout)
	defer dog.end()
	options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: most}
	for object := range s.client().ListObjectsIter(dog.ctx, s.bucket, options) {
		dog.rest()
		if object.Err != nil {
			err := translate(dog.ctx, "listing objects", object.Err)
			s.health.note(err)
			return err
		}
		if err := fn(object); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		dog.expect()
	}
	err := translate(dog.ctx, "listing objects", context.Cause(dog.ctx))
	s.health.note(err)
	return err
}

// Walk implements store.BlobStore. The time is the server's.
func (s *Store) Walk(ctx context.Context, fn func(store.Locator, int64, time.Time) error) error {
	folder := s.under(blobsFolder) + "/"
	return s.list(ctx, folder, 0, func(object minio.ObjectInfo) error {
		locator := store.Locator(strings.TrimPrefix(object.Key, folder))
		if _, _, err := locator.Split(); err != nil {
			return nil
		}
		return fn(locator, object.Size, object.LastModified)
	})
}

// cleanInterval is the time between two looks for what uploads left.
const cleanInterval = time.Hour

// cleaning deletes what uploads left, at intervals, until the store is closed.
func (s *Store) cleaning() {
	ticker := time.NewTicker(cleanInterval)
	defer ticker.Stop()
	for {
		dropped, err := s.Clean(s.writing, time.Now().Add(-store.SweepAfter))
		switch {
		case s.writing.Err() != nil:
			return
		case err != nil:
			s.log.Warn("deleting what uploads left", "error", err)
		case dropped > 0:
			s.log.Info("deleted what uploads left", "deleted", dropped)
		}
		select {
		case <-s.writing.Done():
			return
		case <-ticker.C:
		}
	}
}

// Clean deletes incomplete multipart uploads that no session has, and last bytes of uploads
// without a session, when they are from before a time. It returns how many there were.
func (s *Store) Clean(ctx context.Context, before time.Time) (dropped int, err error) {
	old, err := s.incomplete(ctx, before)
	if err != nil {
		return 0, err
	}
	tails, err := s.oldTails(ctx, before)
	if err != nil || len(old)+len(tails) == 0 {
		return 0, err
	}
	// After the lists: what is in them and in no session now was never in one, or is not
	// any more.
	uploads, err := s.uploads(ctx)
	if err != nil {
		return 0, err
	}
	inUse := make(map[string]bool)
	for _, u := range uploads {
		inUse[u.Upload], inUse[string(u.ID)] = true, true
	}
	for _, m := range old {
		if inUse[m.id] {
			continue
		}
		if err := m.abort(ctx); err != nil {
			return dropped, err
		}
		dropped++
	}
	for _, key := range tails {
		if inUse[path.Base(path.Dir(key))] {
			continue
		}
		if err := s.remove(ctx, key); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// incomplete returns the multipart uploads of blobs that began before a time.
func (s *Store) incomplete(ctx context.Context, before time.Time) (old []*multipart, err error) {
	var key, id string
	for {
		var page minio.ListMultipartUploadsResult
		err := s.request(ctx, "listing multipart uploads", func(ctx context.Context, client *minio.Core) (err error) {
			page, err = client.ListMultipartUploads(ctx, s.bucket, s.under(blobsFolder)+"/", key, id, "", 1000)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, found := range page.Uploads {
			if found.Initiated.Before(before) {
				old = append(old, &multipart{store: s, key: found.Key, id: found.UploadID})
			}
		}
		if !page.IsTruncated {
			return old, nil
		}
		if page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return nil, fmt.Errorf("%w: the list of multipart uploads does not end", store.ErrUnavailable)
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// oldTails returns the last bytes of uploads that were written before a time.
func (s *Store) oldTails(ctx context.Context, before time.Time) (keys []string, err error) {
	err = s.list(ctx, s.under(uploadsFolder)+"/", 0, func(object minio.ObjectInfo) error {
		if path.Base(object.Key) != sessionObject && object.LastModified.Before(before) {
			keys = append(keys, object.Key)
		}
		return nil
	})
	return keys, err
}
