package pool

import (
	"log/slog"
	"time"
)

// closeWait bounds how long closing a store is waited for. It goes on behind.
const closeWait = 30 * time.Second

// close closes the store, and waits for that as long as it may take. Nobody uses the
// entry any more. What hangs is left behind: whoever has the key next waits for it.
func (e *entry) close() {
	go func() {
		defer close(e.closed)
		e.closeStores()
	}()
	timeout := time.NewTimer(closeWait)
	defer timeout.Stop()
	select {
	case <-e.closed:
	case <-timeout.C:
		e.log.logger().Error("closing the store takes long; it is not waited for any more", slog.String("root", e.root()), slog.Duration("after", closeWait))
	}
}

func (e *entry) closeStores() {
	if e.opening != nil {
		e.opening.stop()
		<-e.opening.ended
	}
	if !e.isOpen() {
		return
	}
	if err := e.state.Load().registry.Close(); err != nil {
		e.log.logger().Error("closing store", slog.Any("error", err))
	}
}
