package badger

import (
	"fmt"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// errSlow: Badger did not do in time what changes wait for.
var errSlow = fmt.Errorf("%w: the database does not come to an end with its tables", store.ErrUnavailable)

// limit bounds how long changes wait for Badger, which tries again without end to make a
// table that the disk refuses. After a wait in vain, nobody waits for a moment. It is for one
// goroutine at a time.
type limit struct{ passed time.Time }

// wait is how long to wait now: ten seconds, or nothing for a moment after a wait in vain.
func (l *limit) wait(h *home) time.Duration {
	if time.Since(l.passed) < h.retry {
		return 0
	}
	return 5 * h.patience
}

// pass notes that a wait, of so long, was in vain.
func (l *limit) pass(waited time.Duration) error {
	if waited > 0 {
		l.passed = time.Now()
	}
	return errSlow
}
