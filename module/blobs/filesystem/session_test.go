package filesystem

import (
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestASessionThatCannotBeginLeavesNothing in memory, whichever operation of its beginning
// fails. Seen to fail with sessions that stay doubtful, which nobody asks for.
func TestASessionThatCannotBeginLeavesNothing(t *testing.T) {
	refused := 0
	for operation, begun := 1, false; !begun; operation++ {
		root := t.TempDir()
		fsys := disktest.New(root, disktest.Fault{Operation: operation, Mode: disktest.Fail, Err: syscall.EIO})
		s, err := openWith(root, 1, fsys)
		if err != nil {
			continue
		}
		session := store.Session{ID: store.NewSessionID(), Length: -1}
		_, err = s.BeginSession(t.Context(), session)
		begun = err == nil && !fsys.Struck()
		if err != nil {
			refused++
		}
		s.doubtful.Range(func(id, _ any) bool {
			if err != nil {
				t.Errorf("operation %d: session %v stays in memory", operation, id)
			}
			return true
		})
		_ = s.Close()
	}
	if refused < 3 {
		t.Errorf("%d operations of a beginning were refused", refused)
	}
}
