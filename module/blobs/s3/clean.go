package s3

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// cleanInterval is the time between two looks for what uploads left.
const cleanInterval = time.Hour

// cleaning deletes what uploads left, at intervals, until the context ends.
func (s *Store) cleaning(ctx context.Context) {
	ticker := time.NewTicker(cleanInterval)
	defer ticker.Stop()
	for {
		dropped, err := s.Clean(ctx, time.Now().Add(-store.SweepAfter))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.log.Warn("deleting what uploads left", "error", err)
		case dropped > 0:
			s.log.Info("deleted what uploads left", "deleted", dropped)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Clean deletes incomplete multipart uploads that no session has, of which no part came since a
// time, and last bytes of uploads without a session from before that time. It returns how many
// there were.
func (s *Store) Clean(ctx context.Context, before time.Time) (dropped int, err error) {
	var old []bucket.Multipart
	for _, folder := range []string{blobsFolder, quarantineFolder} {
		found, err := s.bucket.Incomplete(ctx, s.under(folder), before)
		if err != nil {
			return 0, err
		}
		old = append(old, found...)
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
		if inUse[m.Upload] {
			continue
		}
		// A publish in one request has no session, and may take longer than a day.
		written, err := s.bucket.IsWritten(ctx, m, before)
		if err != nil {
			return dropped, err
		}
		if written {
			continue
		}
		if err := s.bucket.Drop(ctx, m); err != nil {
			return dropped, err
		}
		dropped++
	}
	for _, key := range tails {
		if inUse[path.Dir(strings.TrimPrefix(key, s.under(uploadsFolder)))] {
			continue
		}
		if err := s.bucket.Remove(ctx, key); err != nil {
			return dropped, err
		}
		dropped++
	}
	return dropped, nil
}

// oldTails returns the last bytes of uploads that were written before a time.
func (s *Store) oldTails(ctx context.Context, before time.Time) (keys []string, err error) {
	for object, err := range s.bucket.List(ctx, s.under(uploadsFolder), 0) {
		if err != nil {
			return nil, err
		}
		if _, isSession := turnOf(object.Key); !isSession && object.Modified.Before(before) {
			keys = append(keys, object.Key)
		}
	}
	return keys, nil
}
