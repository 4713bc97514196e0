package badger

import (
	"fmt"
	"log/slog"
)

// databaseLog passes Badger's messages on, and lets the ledger hear them. Badger's
// Info is for developers.
type databaseLog struct {
	log    *slog.Logger
	ledger *ledger
}

func (l databaseLog) Errorf(format string, args ...any) {
	l.log.Error("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Warningf(format string, args ...any) {
	l.log.Warn("badger", slog.String("message", fmt.Sprintf(format, args...)))
}

func (l databaseLog) Infof(format string, args ...any) { l.Debugf(format, args...) }

func (l databaseLog) Debugf(format string, args ...any) {
	l.ledger.hear(format, args)
	l.log.Debug("badger", slog.String("message", fmt.Sprintf(format, args...)))
}
