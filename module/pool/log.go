package pool

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// liveLog is the log of a store that outlives the configuration which opened it:
// Caddy closes a configuration's log writers with it, so each configuration that
// starts puts its own in place.
type liveLog struct{ current atomic.Pointer[slog.Handler] }

func (l *liveLog) set(logger *slog.Logger) {
	handler := logger.Handler()
	l.current.Store(&handler)
}

func (l *liveLog) logger() *slog.Logger { return slog.New(liveHandler{log: l, derive: same}) }

// liveHandler resolves the current handler for each record, then applies what the
// logger was derived with.
type liveHandler struct {
	log    *liveLog
	derive func(slog.Handler) slog.Handler
}

func same(handler slog.Handler) slog.Handler { return handler }

func (h liveHandler) handler() slog.Handler {
	if current := h.log.current.Load(); current != nil {
		return h.derive(*current)
	}
	return slog.DiscardHandler
}

// Enabled implements slog.Handler.
func (h liveHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h liveHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.handler().Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h liveHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(handler slog.Handler) slog.Handler { return handler.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h liveHandler) WithGroup(name string) slog.Handler {
	return h.with(func(handler slog.Handler) slog.Handler { return handler.WithGroup(name) })
}

func (h liveHandler) with(next func(slog.Handler) slog.Handler) slog.Handler {
	derive := h.derive
	return liveHandler{log: h.log, derive: func(handler slog.Handler) slog.Handler { return next(derive(handler)) }}
}
