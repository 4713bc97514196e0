package removal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// KeepPosition has the blob store know how far the metadata has come, and finds out
// whether that is older than the blobs: then nothing is changed until the right
// metadata is there, or an administrator says that this is the right one. A change would
// hide what is wrong, and be lost when the right metadata is put back.
func (r *Remover) KeepPosition(ctx context.Context, lower bool) error {
	r.positioning.Lock() // what was found before an administrator confirmed must not be told after
	defer r.positioning.Unlock()
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	condition := r.metadata.Condition()
	if !condition.Readable {
		return fmt.Errorf("keeping the position of the metadata: %w", errors.Join(store.ErrUnavailable, condition.Fault))
	}
	end := waiting.Attend(r.log, "keeping the position of the metadata")
	err := r.keepPosition(ctx, condition.Journal, lower)
	end()
	switch {
	case errors.Is(err, store.ErrBehind):
		fault := fmt.Errorf("%w: %w; put the newer metadata back, or say that this is right with `caddy generic-registry sweep --confirm`", store.ErrUnavailable, err)
		if r.behind.Swap(&fault) == nil {
			r.log.Error("nothing is published, deleted or swept", slog.Any("error", err))
		}
		return fault
	case err != nil:
		return fmt.Errorf("keeping the position of the metadata: %w", err)
	}
	if r.behind.Swap(nil) != nil {
		r.log.Info("the metadata is not older than the blobs any more, or an administrator confirmed that it is right")
	}
	return nil
}

// FindBehind is KeepPosition for the background. Metadata that is older than the blobs is no
// error here: the log says so once, and health as long as it is true.
func (r *Remover) FindBehind(ctx context.Context) (done int, err error) {
	if err = r.KeepPosition(ctx, false); r.IsBehind() != nil {
		return 0, nil
	}
	return 0, err
}

// positionTries is how often metadata that seems to be older than the blobs is asked again.
// Each other process that keeps a position at the same moment can make it seem older once.
const positionTries = 10

// keepPosition keeps a position, or that of metadata which other processes change: what they
// did meanwhile may have been kept first, so the metadata is asked again after that.
func (r *Remover) keepPosition(ctx context.Context, at store.Position, lower bool) (err error) {
	shared, isShared := r.metadata.(store.Shared)
	if !isShared {
		return r.blobs.KeepPosition(ctx, at, lower)
	}
	for range positionTries {
		if at, err = shared.Position(ctx); err != nil {
			return err
		}
		if err = r.blobs.KeepPosition(ctx, at, lower); !errors.Is(err, store.ErrBehind) {
			break
		}
	}
	return err
}

// IsBehind reports that the metadata is older than the blobs.
func (r *Remover) IsBehind() error {
	if fault := r.behind.Load(); fault != nil {
		return *fault
	}
	return nil
}
