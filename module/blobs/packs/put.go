package packs

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/blobs/packs/format"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// blob is one that is being written.
type blob struct {
	content   []byte
	at        format.Address
	addressed bool  // at says where it has to be
	err       error // valid once its round has ended
}

var errClosed = fmt.Errorf("%w: the store is closed", store.ErrUnavailable)

// Put writes a blob of at most format.Largest bytes. When it returns nil the blob survives a power
// cut, or will once Carry has returned. ErrNoSpace, ErrUnavailable after Close. After any error
// nobody has the blob; after one of the context it may be written all the same, and is nobody's.
func (s *Store) Put(ctx context.Context, content []byte) (store.Locator, error) {
	if s.joined.Load() && len(content) <= format.Largest {
		b := &blob{content: content}
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		err := waiting.Until(ctx, func() error {
			defer func() { <-s.turn }()
			return s.stage(b)
		})
		if err == nil {
			return b.at.Locator(), nil
		}
		if !errors.Is(err, errNotStaged) {
			return "", err
		}
	}
	b := &blob{content: content}
	if err := s.write(ctx, b); err != nil {
		return "", err
	}
	return b.at.Locator(), nil
}

// PutAt is Put under a locator that format.Owns knows. fs.ErrExist when its slot has a blob.
func (s *Store) PutAt(ctx context.Context, locator store.Locator, content []byte) error {
	at, err := format.Find(locator)
	if err != nil {
		return err
	}
	if at.Slot >= s.layout.Slots {
		return fmt.Errorf("no pack has the slot of locator %q: %w", string(locator), store.ErrDamaged)
	}
	return s.write(ctx, &blob{content: content, at: at, addressed: true})
}

// write returns when a blob was written, in one round with those that came meanwhile.
func (s *Store) write(ctx context.Context, b *blob) error {
	if len(b.content) > format.Largest {
		return errors.New("a blob is too large for a pack")
	}
	if err := s.rounds.Join(ctx, b); err != nil {
		return err
	}
	return b.err
}

// work is the work of a round.
func (s *Store) work(blobs []*blob) error {
	defer s.hold()()
	if s.closed {
		return errClosed
	}
	defer waiting.Attend(s.log, "writing small files")()
	s.writeRound(blobs)
	return nil
}

func fail(blobs []*blob, err error) {
	for _, b := range blobs {
		b.err = err
	}
}

// end lets no round be written any more.
func (s *Store) end() error {
	defer s.hold()()
	s.closed = true
	return s.leave()
}
