package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// kind is what an error of the server means.
type kind int

const (
	// other is nothing that passes or that an administrator of the machine mends.
	other kind = iota
	// busy passes when the transaction is tried again.
	busy
	// unavailable passes by itself, or when the server is started.
	unavailable
	// lost is a connection that is no more. The next one may be good.
	lost
	// readOnly is a server that is a standby now: another one takes changes.
	readOnly
	// full is a disk of the server without room.
	full
	// damaged is data that the server cannot read.
	damaged
	// misconfigured is a user, a password, a database or a right that is missing.
	misconfigured
)

// unknownNode is raised by our functions when the row of the process is gone.
const unknownNode = "GR001"

// kinds are by SQLSTATE (PostgreSQL's documentation, appendix A), or by its class, which is
// the first two characters.
var kinds = map[string]kind{
	"08":        lost,          // connection exceptions
	"25006":     readOnly,      // read-only transaction
	"25P03":     lost,          // idle for too long in a transaction
	"25P04":     lost,          // a transaction that takes too long
	"28":        misconfigured, // invalid authorization
	"3D000":     misconfigured, // no such database
	"3F000":     misconfigured, // no such schema
	"40001":     busy,          // serialization failure
	"40P01":     busy,          // deadlock
	"42501":     misconfigured, // insufficient privilege
	"53":        unavailable,   // out of memory, too many connections, a limit
	"53100":     full,          // disk full
	"55P03":     busy,          // lock not available
	"57014":     unavailable,   // canceled, such as by a statement timeout
	"57P":       lost,          // shut down, crashed, starting, idle for too long
	"58030":     unavailable,   // error of a disk
	"58P01":     damaged,       // a file of the database is missing
	"XX001":     damaged,       // data corrupted
	"XX002":     damaged,       // index corrupted
	unknownNode: lost,
}

// kindOf tells what an error of pgx means.
func kindOf(err error) kind {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		if isNoAnswer(err) {
			return unavailable
		}
		return lost
	}
	for length := len(server.Code); length >= 2; length-- {
		if found, ok := kinds[server.Code[:length]]; ok {
			return found
		}
	}
	return other
}

// isNoAnswer tells whether a deadline ended the call.
func isNoAnswer(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || pgconn.Timeout(err)
}

// translate returns the error of the domain for one of pgx. It has the text of the server
// and nothing of pgx: errors of deadlines would be taken for those of a client. The context
// is the caller's.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch kindOf(err) {
	case full:
		return fmt.Errorf("%w: PostgreSQL: %s", store.ErrNoSpace, textOf(err))
	case damaged:
		return fmt.Errorf("%w: PostgreSQL: %s", store.ErrDamaged, textOf(err))
	case other:
		return fmt.Errorf("PostgreSQL: %s", textOf(err))
	}
	return fmt.Errorf("%w: PostgreSQL: %s", store.ErrUnavailable, textOf(err))
}

// translateOpening is translate for an opening: what an administrator must mend is a fault
// of the configuration.
func translateOpening(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || isOurs(err) {
		return err
	}
	if kindOf(err) == misconfigured {
		return fmt.Errorf("%w: PostgreSQL: %s", store.ErrRefused, textOf(err))
	}
	return translate(ctx, err)
}

// isOurs tells whether an error is one of the domain already.
func isOurs(err error) bool {
	for _, known := range []error{store.ErrRefused, store.ErrLocked, store.ErrFormat, store.ErrMismatch, store.ErrUnavailable, store.ErrDamaged} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// textOf is the text of an error for administrators. It has no secret: pgx keeps passwords
// out of its errors.
func textOf(err error) string {
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	switch {
	case errors.As(err, &connecting):
		return strings.Join(strings.Fields(connecting.Error()), " ")
	case errors.As(err, &server):
		return fmt.Sprintf("%s (SQLSTATE %s)", server.Message, server.Code)
	case isNoAnswer(err):
		return "no answer in time"
	}
	return err.Error()
}
