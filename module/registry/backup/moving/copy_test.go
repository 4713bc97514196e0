package moving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

// failing is a source of which no bytes can be opened, or read.
type failing struct{ err, cut error }

func (f failing) Lines(context.Context, store.Position) (io.ReadCloser, error) { return nil, f.err }

func (f failing) Open(context.Context, store.Digest) (io.ReadCloser, error) {
	return io.NopCloser(iotest.ErrReader(f.cut)), f.err
}

// TestASourceThatIsNotAvailableHasNoDamagedBlobs, also when its database is the cause, which is
// damaged: the pass ends. A blob is noted as damaged only when the source is available.
// What a source that answers always cuts is damaged. Seen to fail with each blob noted as damaged,
// and with a pass that ends at a blob that is cut.
func TestASourceThatIsNotAvailableHasNoDamagedBlobs(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		lacking int
		ends    error
	}{
		"the database fails": {fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrDamaged), 0, store.ErrUnavailable},
		"a blob is damaged":  {store.ErrDamaged, 1, nil},
		"a blob is cut":      {nil, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				work := newPassWork(t.Context(), new(Copy), failing{test.err, ErrCut})
				defer work.cancel(nil)
				var err error
				if work.blobs, err = memory.NewBlobs().Open(); err != nil {
					t.Fatal(err)
				}
				if work.copy(store.Blob{Size: 1, Locator: store.NewLocator(1)}) || len(work.lacking) != test.lacking {
					t.Errorf("%d blobs are damaged, want %d and none copied", len(work.lacking), test.lacking)
				}
				if err := context.Cause(work.ctx); !errors.Is(err, test.ends) {
					t.Errorf("the pass ends with %v, want %v", err, test.ends)
				}
			})
		})
	}
}
