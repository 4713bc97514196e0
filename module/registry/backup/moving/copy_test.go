package moving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// failing is a source of which no bytes can be opened.
type failing struct{ err error }

func (f failing) Lines(context.Context, store.Position) (io.ReadCloser, error) { return nil, f.err }

func (f failing) Open(context.Context, store.Digest) (io.ReadCloser, error) { return nil, f.err }

// TestASourceThatIsNotAvailableHasNoDamagedBlobs, also when its database is the cause, which is
// damaged: the pass ends. A blob is noted as damaged only when the source is available.
// Seen to fail with each blob noted as damaged.
func TestASourceThatIsNotAvailableHasNoDamagedBlobs(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		lacking int
		ends    error
	}{
		"the database fails": {fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrDamaged), 0, store.ErrUnavailable},
		"a blob is damaged":  {store.ErrDamaged, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				work := newPassWork(t.Context(), new(Copy), failing{test.err})
				defer work.cancel(nil)
				if work.copy(store.Blob{}) || len(work.lacking) != test.lacking {
					t.Errorf("%d blobs are damaged, want %d and none copied", len(work.lacking), test.lacking)
				}
				if err := context.Cause(work.ctx); !errors.Is(err, test.ends) {
					t.Errorf("the pass ends with %v, want %v", err, test.ends)
				}
			})
		})
	}
}
