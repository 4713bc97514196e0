package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// formatObject says what is under the prefix.
	formatObject = "FORMAT"
	format       = "generic_registry blobs s3 1"
	// bindingObject has the ID of the metadata store that names the blobs.
	bindingObject = "METADATA"
	// positionObject has the highest position that the journal of the metadata had.
	positionObject = "POSITION"
)

// claim finds out whether the prefix is ours, and makes it ours when nothing is there.
func (s *Store) claim(ctx context.Context) error {
	found, err := s.read(ctx, s.under(formatObject))
	if err == nil {
		return checkFormat(strings.TrimSpace(string(found)))
	}
	if err := s.absent(ctx, s.under(formatObject), err); !errors.Is(err, store.ErrBlobNotFound) {
		return refused(err)
	}
	err = s.list(ctx, s.prefix, 1, func(object minio.ObjectInfo) error {
		return fmt.Errorf("%w: the bucket %s has %s, and no %s: write another prefix, or empty this one", store.ErrFormat, s.bucket, object.Key, s.under(formatObject))
	})
	if err != nil {
		return refused(err)
	}
	return refused(s.putBytes(ctx, s.under(formatObject), []byte(format+"\n"), minio.PutObjectOptions{}))
}

func checkFormat(found string) error {
	if found != format {
		return fmt.Errorf("%w: it is %q, and this release knows %q", store.ErrFormat, found, format)
	}
	return nil
}

// Bind implements store.BlobStore. Of two that bind at once, the object that is there
// afterwards decides.
func (s *Store) Bind(ctx context.Context, metadataID string) error {
	key := s.under(bindingObject)
	bound, err := s.fetch(ctx, key)
	if errors.Is(err, store.ErrBlobNotFound) {
		var options minio.PutObjectOptions
		options.SetMatchETagExcept("*")
		if err := s.putBytes(ctx, key, []byte(metadataID+"\n"), options); err != nil && !errors.Is(err, errTaken) {
			return fmt.Errorf("writing binding: %w", err)
		}
		bound, err = s.fetch(ctx, key)
	}
	if err != nil {
		return fmt.Errorf("reading binding: %w", err)
	}
	if strings.TrimSpace(string(bound)) != metadataID {
		return fmt.Errorf("%w: the blobs under %s in the bucket %s are of another metadata store; use that one, or another prefix", store.ErrMismatch, s.prefix, s.bucket)
	}
	return nil
}

// KeepPosition implements store.BlobStore.
func (s *Store) KeepPosition(ctx context.Context, at store.Position, lower bool) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.positioning.Lock()
	defer s.positioning.Unlock()
	kept, err := s.position(ctx)
	if err != nil && !(lower && errors.Is(err, store.ErrDamaged)) {
		return err
	}
	if !lower {
		if err := at.CheckFollows(kept); err != nil {
			return err
		}
	}
	if at == kept && err == nil {
		return nil
	}
	text, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("telling the position: %w", err)
	}
	return s.putBytes(ctx, s.under(positionObject), append(text, '\n'), minio.PutObjectOptions{})
}

// position reads what KeepPosition wrote.
func (s *Store) position(ctx context.Context) (at store.Position, err error) {
	text, err := s.fetch(ctx, s.under(positionObject))
	if errors.Is(err, store.ErrBlobNotFound) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("reading the position of the metadata: %w", err)
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%w: the object %s: %w", store.ErrDamaged, s.under(positionObject), err)
	}
	return at, nil
}
