package filesystem

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestADiskThatTakesNoWriteIsAState: each operation of storing bytes is refused for each reason.
// Nothing has these bytes, so they may be sent again: a client hears 503 or 507, and never
// of a fault of the server. Seen to fail with a disk's error as it is.
func TestADiskThatTakesNoWriteIsAState(t *testing.T) {
	ctx := t.Context()
	blob := func(size int) func(*Store) error {
		return func(s *Store) error {
			_, err := putBlob(s, make([]byte, size))
			return err
		}
	}
	for name, work := range map[string]func(*Store) error{
		"a small blob": blob(10),
		"a large blob": blob(allocateFrom + 1),
		"bytes of an upload in several requests": func(s *Store) error {
			session, err := s.BeginSession(ctx, store.Session{ID: store.NewSessionID(), Length: -1})
			if err != nil {
				return err
			}
			return saveBytes(s, &session, 10, 0)
		},
	} {
		for _, why := range []syscall.Errno{syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EMFILE, syscall.ENOSPC} {
			t.Run(fmt.Sprintf("%s: %v", name, why), func(t *testing.T) {
				refused := 0
				for operation, done := 1, false; !done; operation++ {
					root := t.TempDir()
					fsys := disktest.New(root, disktest.Fault{Operation: operation, Mode: disktest.Fail, Err: why})
					s, err := openWith(root, 1, fsys)
					if err != nil {
						continue
					}
					if err = work(s); err != nil {
						refused++
						if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrNoSpace) {
							t.Errorf("operation %d, %s: got %v, want %v or %v", operation, fsys.Operations()[operation-1], err, store.ErrUnavailable, store.ErrNoSpace)
						}
					}
					done = !fsys.Struck()
					_ = s.Close()
				}
				if refused < 3 {
					t.Errorf("%d operations were refused", refused)
				}
			})
		}
	}
}
