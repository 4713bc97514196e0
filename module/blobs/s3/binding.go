package s3

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/s3/bucket"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// formatObject says what is under the prefix.
	formatObject = "FORMAT"
	format       = "generic_registry blobs s3 3"
	// bindingObject has the ID of the metadata store that names the blobs, and that of the
	// blobs.
	bindingObject = "METADATA"
	// positionObject has the highest position that the journal of the metadata had.
	positionObject = "POSITION"
)

// claim finds out whether the prefix is ours, and makes it ours when nothing is there. Several
// processes may do so at once.
func (s *Store) claim(ctx context.Context) error {
	mark := s.under(formatObject)
	found, err := s.bucket.Read(ctx, mark)
	if errors.Is(err, store.ErrBlobNotFound) {
		if err := s.occupy(ctx, mark); err != nil {
			return err
		}
		found, err = s.bucket.Read(ctx, mark)
	}
	if err != nil {
		return err
	}
	return checkFormat(strings.TrimSpace(string(found)))
}

// occupy makes an empty prefix ours, unless another process just has: the object that says so
// sorts before all others of ours.
func (s *Store) occupy(ctx context.Context, mark string) error {
	for object, err := range s.bucket.List(ctx, s.prefix, 1) {
		if err != nil || object.Key == mark {
			return err
		}
		return fmt.Errorf("%w: it has %s, and no %s: write another prefix, or empty this one", store.ErrFormat, object.Key, mark)
	}
	return s.bucket.Put(ctx, mark, []byte(format+"\n"))
}

func checkFormat(found string) error {
	if found != format {
		return fmt.Errorf("%w: it is %q, and this release reads %q only: write another prefix, and publish again or restore a backup", store.ErrFormat, found, format)
	}
	return nil
}

// Bind implements store.BlobStore. Of two that bind at once, the object that is there
// afterwards decides.
func (s *Store) Bind(ctx context.Context, metadataID string) error {
	bound, _, err := s.binding(ctx)
	if errors.Is(err, store.ErrBlobNotFound) {
		text := metadataID + "\n" + rand.Text() + "\n"
		if err := s.bucket.PutNew(ctx, s.under(bindingObject), []byte(text)); err != nil && !errors.Is(err, bucket.ErrTaken) {
			return fmt.Errorf("writing binding: %w", err)
		}
		bound, _, err = s.binding(ctx)
	}
	if err != nil {
		return err
	}
	if bound != metadataID {
		return fmt.Errorf("%w: the blobs in %s are of another metadata store; use that one, or another prefix", store.ErrMismatch, s.identity)
	}
	return nil
}

// BlobsID implements store.Identified.
func (s *Store) BlobsID(ctx context.Context) (string, error) {
	_, id, err := s.binding(ctx)
	if errors.Is(err, store.ErrBlobNotFound) {
		err = fmt.Errorf("%w: %v", store.ErrUnavailable, err) // it was there when the store was bound
	}
	return id, err
}

// binding reads what Bind wrote.
func (s *Store) binding(ctx context.Context) (metadataID, blobsID string, err error) {
	text, err := s.bucket.Read(ctx, s.under(bindingObject))
	if err != nil {
		return "", "", fmt.Errorf("reading binding: %w", err)
	}
	metadataID, blobsID, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
	return metadataID, blobsID, nil
}

// KeepPosition implements store.BlobStore.
func (s *Store) KeepPosition(ctx context.Context, at store.Position, lower bool) error {
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
	return s.bucket.Put(ctx, s.under(positionObject), append(text, '\n'))
}

// position reads what KeepPosition wrote.
func (s *Store) position(ctx context.Context) (at store.Position, err error) {
	text, err := s.bucket.Read(ctx, s.under(positionObject))
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
