package admission

import (
	"context"
	"errors"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// CheckName says before the body what a publish, into a draft or not, is refused with because of
// what has its name: ErrExists, ErrDraft, ErrNotDraft. It returns the file that has the name
// already, if any.
func CheckName(ctx context.Context, metadata store.MetadataStore, ref store.Ref, draft bool, onDuplicate store.OnDuplicate) (existing store.File, exists bool, err error) {
	ctx, cancel := waiting.Bounded(ctx)
	defer cancel()
	asked := store.Publication{Draft: draft}
	for _, isDraft := range []bool{false, true} {
		lookup := metadata.Lookup
		if isDraft {
			lookup = metadata.LookupDraft
		}
		existing, err = lookup(ctx, ref)
		if errors.Is(err, store.ErrPackageNotFound) {
			continue
		}
		exists = err == nil
		if err != nil && !errors.Is(err, store.ErrFileNotFound) {
			return store.File{}, false, fmt.Errorf("looking up file: %w", err)
		}
		if err := asked.CheckState(isDraft); err != nil {
			return store.File{}, false, err
		}
		if exists && onDuplicate == store.Reject {
			return existing, true, store.ErrExists
		}
		return existing, exists, nil
	}
	return store.File{}, false, nil
}
