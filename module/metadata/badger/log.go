package badger

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

// databaseLog passes Badger's messages on, and lets the ledger hear them. Badger's
// Info is for developers. What Badger tries in vain it says each time, so a message of one
// format is for developers too when another came less than a minute before.
type databaseLog struct {
	log    *slog.Logger
	ledger *compactions.Ledger
	signs  *atomic.Int64 // counts messages that say that Badger gets on
	told   *told
}

// told is what was said last, by the formats of Badger's messages, which are few.
type told struct {
	mu      sync.Mutex
	formats map[string]*waiting.Lasting
}

func (t *told) isNews(format string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.formats == nil {
		t.formats = make(map[string]*waiting.Lasting)
	}
	if t.formats[format] == nil {
		t.formats[format] = new(waiting.Lasting)
	}
	return t.formats[format].IsNews(format)
}

func (l databaseLog) Errorf(format string, args ...any) { l.tell(slog.LevelError, format, args) }

func (l databaseLog) Warningf(format string, args ...any) {
	l.ledger.Hear(format, args)
	l.tell(slog.LevelWarn, format, args)
}

func (l databaseLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l databaseLog) Debugf(format string, args ...any) {
	l.signs.Add(1)
	l.ledger.Hear(format, args)
	l.log.Debug("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) tell(level slog.Level, format string, args []any) {
	if !l.told.isNews(format) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "badger", slog.String("message", fmt.Sprintf(format, args...)))
}
