package filesystem

import (
	"context"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// growing writes one blob of unknown size. It is a small one until more bytes came than a
// pack takes.
type growing struct {
	store.BlobWriter              // what it is now
	small            *smallWriter // nil once it is large
}

func (s *Store) createGrowing(ctx context.Context) (store.BlobWriter, error) {
	small, err := s.createSmall(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	return &growing{BlobWriter: small, small: small}, nil
}

// Write implements io.Writer. After an error the blob can only be dropped.
func (g *growing) Write(p []byte) (int, error) {
	if g.small != nil && len(g.small.content)+len(p) > smallBlob {
		if err := g.grow(); err != nil {
			return 0, err
		}
	}
	return g.BlobWriter.Write(p)
}

// grow makes a large blob of the small one, with the bytes that it has.
func (g *growing) grow() error {
	small := g.small
	if err := small.usable(); err != nil {
		return err
	}
	content := small.content
	small.end() // its room is free for the large one
	large, err := small.store.createLarge(context.Background(), -1)
	if err != nil {
		return err
	}
	g.BlobWriter, g.small = large, nil
	_, err = large.Write(content)
	return err
}
