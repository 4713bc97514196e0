package badger

import (
	"bytes"
	"context"
	"fmt"

	"github.com/generic-registry/caddy-generic-registry/module/registry"
)

// retell writes what there is to an empty journal, as if it had just been published
// by those who did, and returns the sums over it. Versions are told in the order of
// their keys, not of their times: nothing depends on it.
func (o *opened) retell(ctx context.Context) (total sums, err error) {
	t := teller{opened: o}
	err = o.db.view(func(r reader) error {
		return firstError(
			func() (err error) { total, err = sumUp(r); return err },
			func() error {
				return r.scan([]byte(versionPrefix), nil, func(key, value []byte) error {
					var version versionRecord
					if err := decode(key, value, &version); err != nil {
						return err
					}
					if err := ctx.Err(); err != nil {
						return err
					}
					return t.version(r, version)
				})
			},
			func() error {
				return r.scan([]byte(tokenPrefix), nil, func(key, value []byte) error {
					var token tokenRecord
					if err := decode(key, value, &token); err != nil {
						return err
					}
					return t.tell(registry.CreateTokenChange(token.token, token.secret))
				})
			},
			t.flush,
		)
	})
	if err != nil {
		return total, fmt.Errorf("telling the journal what there is: %w", err)
	}
	return total, nil
}

// teller gathers changes and appends them in batches.
type teller struct {
	opened  *opened
	changes []registry.Change
}

func (t *teller) version(r reader, version versionRecord) error {
	return r.scan(filesKey(version.id), nil, func(key, value []byte) error {
		var file fileRecord
		if err := decode(bytes.Clone(key), value, &file); err != nil {
			return err
		}
		var blob blobRecord
		if found, err := r.get(blobKey(file.digest), &blob); err != nil || !found {
			return orNotFound(err, fmt.Errorf("%w: file has no blob, digest %s", registry.ErrDamaged, file.digest))
		}
		told := published(version, file, blob.locator)
		return t.tell(registry.PublishChange(told.Ref, told))
	})
}

func (t *teller) tell(change registry.Change) error {
	if t.changes = append(t.changes, change); len(t.changes) < batchWeight {
		return nil
	}
	return t.flush()
}

func (t *teller) flush() error {
	if len(t.changes) == 0 {
		return nil
	}
	changes := t.changes
	t.changes = nil
	_, err := t.opened.journal.Append(changes)
	return err
}
