package waiting

import (
	"log/slog"
	"time"
)

// Attend has people told when a call in the background has no answer for as long as a
// request would wait (Timeout): nothing ends a call that a disk does not answer, and what
// waits behind it stands still. The call is what is being done. The returned function is
// called when the call has ended, which is told then too.
func Attend(log *slog.Logger, call string) (end func()) {
	began := time.Now()
	timer := time.AfterFunc(Timeout, func() {
		log.Error("a store does not answer; calls that wait for it do not go on", slog.String("call", call), slog.Duration("for", Timeout))
	})
	return func() {
		if !timer.Stop() {
			log.Info("the store has answered", slog.String("call", call), slog.Duration("after", time.Since(began)))
		}
	}
}
