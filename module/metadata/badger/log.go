package badger

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/generic-registry/caddy-generic-registry/module/metadata/badger/compactions"
)

// databaseLog passes Badger's messages on, and lets the ledger hear them. Badger's
// Info is for developers.
type databaseLog struct {
	log    *slog.Logger
	ledger *compactions.Ledger
	signs  *atomic.Int64 // counts messages that say that Badger gets on
}

func (l databaseLog) Errorf(format string, args ...any) {
	l.log.Error("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Warningf(format string, args ...any) {
	l.ledger.Hear(format, args)
	l.log.Warn("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l databaseLog) Debugf(format string, args ...any) {
	l.signs.Add(1)
	l.ledger.Hear(format, args)
	l.log.Debug("badger", slog.String("message", fmt.Sprintf(format, args...)))
}
