package reading

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/registry/integrity"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// movingFile is a metadata store whose one file has other bytes each time it is looked up.
type movingFile struct {
	store.MetadataStore
	locators []store.Locator // what each look-up finds
	unsure   error           // of FindBlob
}

func (m *movingFile) FindBlob(context.Context, store.Digest) (store.Blob, error) {
	return store.Blob{Locator: "a"}, m.unsure
}

func (m *movingFile) MarkDamage(context.Context, store.Blob, store.DamageKind) (bool, error) {
	return true, m.unsure
}

func (m *movingFile) Lookup(context.Context, store.Ref) (store.File, error) {
	if len(m.locators) == 0 {
		return store.File{}, store.ErrPackageNotFound
	}
	file := store.File{Blob: store.Blob{Locator: m.locators[0]}}
	if len(m.locators) > 1 {
		m.locators = m.locators[1:]
	}
	return file, nil
}

func (*movingFile) Damaged(context.Context, int) (int64, []store.Digest, error) { return 0, nil, nil }

// oneBlob is a blob store that has one blob.
type oneBlob struct {
	store.BlobStore
	there  store.Locator
	opened []store.Locator
}

func (b *oneBlob) Open(_ context.Context, locator store.Locator, _ int64) (io.ReadSeekCloser, error) {
	b.opened = append(b.opened, locator)
	if locator == b.there {
		return nil, nil
	}
	return nil, store.ErrBlobNotFound
}

func TestOpenFollowsBytesThatMove(t *testing.T) {
	for _, test := range []struct {
		name     string
		locators []store.Locator
		unsure   error
		want     error
		opened   int
	}{
		{"in place", []store.Locator{"c"}, nil, nil, 1},
		{"moved once", []store.Locator{"a", "c"}, nil, nil, 2},
		{"moved twice", []store.Locator{"a", "b", "c"}, nil, nil, 3},
		{"lost", []store.Locator{"a"}, nil, store.ErrDamaged, 1},
		{"lost, as far as a store says that is not sure", []store.Locator{"a"}, store.ErrUnavailable, store.ErrUnavailable, 1},
		{"moving for ever", []store.Locator{"a", "b", "a", "b", "a", "b", "a", "b", "a", "c"}, nil, store.ErrUnavailable, lookupAttempts},
		{"deleted", nil, nil, store.ErrPackageNotFound, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			metadata, blobs := &movingFile{locators: test.locators, unsure: test.unsure}, &oneBlob{there: "c"}
			keeper := integrity.NewKeeper(metadata, blobs, time.Now, slog.New(slog.DiscardHandler), -1)
			if _, _, err := NewFinder(metadata, blobs, keeper).Open(t.Context(), store.Ref{}); !errors.Is(err, test.want) {
				t.Errorf("error is %v, want %v", err, test.want)
			}
			if len(blobs.opened) != test.opened {
				t.Errorf("opened %v, want %d openings", blobs.opened, test.opened)
			}
		})
	}
}
