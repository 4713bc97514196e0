package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// TestErrorsOfTheServer: what each kind of error is to a call, and to an opening.
func TestErrorsOfTheServer(t *testing.T) {
	state := func(code string) error {
		return fmt.Errorf("query: %w", &pgconn.PgError{Code: code, Message: "of the server"})
	}
	for name, test := range map[string]struct {
		err                       error
		kind                      kind
		domain                    error // nil for one that is none of the domain
		isConfiguration, isSilent bool
	}{
		"a serialization failure":         {err: state("40001"), kind: busy, domain: store.ErrUnavailable},
		"a deadlock":                      {err: state("40P01"), kind: busy, domain: store.ErrUnavailable},
		"a lock that is not given":        {err: state("55P03"), kind: busy, domain: store.ErrUnavailable},
		"a statement that takes too long": {err: state("57014"), kind: unavailable, domain: store.ErrUnavailable},
		"too many connections":            {err: state("53300"), kind: unavailable, domain: store.ErrUnavailable},
		"no memory":                       {err: state("53200"), kind: unavailable, domain: store.ErrUnavailable},
		"an error of a disk":              {err: state("58030"), kind: unavailable, domain: store.ErrUnavailable},
		"a shutdown":                      {err: state("57P01"), kind: lost, domain: store.ErrUnavailable},
		"a crash":                         {err: state("57P02"), kind: lost, domain: store.ErrUnavailable},
		"a server that starts":            {err: state("57P03"), kind: lost, domain: store.ErrUnavailable},
		"a connection failure":            {err: state("08006"), kind: lost, domain: store.ErrUnavailable},
		"a process that is not known":     {err: state("GR001"), kind: lost, domain: store.ErrUnavailable},
		"a transaction that is left":      {err: state("25P03"), kind: lost, domain: store.ErrUnavailable},
		"a transaction that is too long":  {err: state("25P04"), kind: lost, domain: store.ErrUnavailable},
		"a standby":                       {err: state("25006"), kind: readOnly, domain: store.ErrUnavailable},
		"a full disk":                     {err: state("53100"), kind: full, domain: store.ErrNoSpace},
		"damaged data":                    {err: state("XX001"), kind: damaged, domain: store.ErrDamaged},
		"a damaged index":                 {err: state("XX002"), kind: damaged, domain: store.ErrDamaged},
		"a file that is missing":          {err: state("58P01"), kind: damaged, domain: store.ErrDamaged},
		"a wrong password":                {err: state("28P01"), kind: misconfigured, domain: store.ErrUnavailable, isConfiguration: true},
		"a user that may not connect":     {err: state("28000"), kind: misconfigured, domain: store.ErrUnavailable, isConfiguration: true},
		"a database that is not there":    {err: state("3D000"), kind: misconfigured, domain: store.ErrUnavailable, isConfiguration: true},
		"a right that is missing":         {err: state("42501"), kind: misconfigured, domain: store.ErrUnavailable, isConfiguration: true},
		"a mistake of ours":               {err: state("42601"), kind: other},
		"a code that nobody knows":        {err: state("ZZ999"), kind: other},
		"a connection that ended":         {err: io.ErrUnexpectedEOF, kind: lost, domain: store.ErrUnavailable},
		"a connection that is refused":    {err: &net.OpError{Op: "dial", Err: errors.New("refused")}, kind: lost, domain: store.ErrUnavailable},
		"a deadline of ours":              {err: context.DeadlineExceeded, kind: unavailable, domain: store.ErrUnavailable, isSilent: true},
		"a deadline of a connection":      {err: &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, kind: lost, domain: store.ErrUnavailable, isSilent: true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := kindOf(test.err); got != test.kind {
				t.Errorf("kind is %d, want %d", got, test.kind)
			}
			got := translate(t.Context(), test.err)
			if test.domain != nil && !errors.Is(got, test.domain) || test.domain == nil && isOurs(got) {
				t.Errorf("a call gets %v, want %v", got, test.domain)
			}
			// What a client did must be told from what the server did.
			if errors.Is(got, os.ErrDeadlineExceeded) || errors.Is(got, context.DeadlineExceeded) {
				t.Errorf("a call gets %v, which wraps a deadline", got)
			}
			if !test.isSilent && test.kind != lost && !strings.Contains(got.Error(), "of the server") {
				t.Errorf("the error %q does not say what the server said", got)
			}
			if opening := translateOpening(t.Context(), test.err); store.IsState(opening) == test.isConfiguration {
				t.Errorf("an opening gets %v, a fault of the state: %v", opening, !test.isConfiguration)
			}
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := translate(ended, state("57P01")); !errors.Is(got, context.Canceled) || errors.Is(got, store.ErrUnavailable) {
		t.Errorf("a call whose context has ended gets %v", got)
	}
}

// TestOutcomesOfCommit: after which errors a commit has not happened for certain.
func TestOutcomesOfCommit(t *testing.T) {
	for name, test := range map[string]struct {
		err     error
		decided bool
	}{
		"a serialization failure":                    {&pgconn.PgError{Severity: "ERROR", Code: "40001"}, true},
		"a full disk":                                {&pgconn.PgError{Severity: "ERROR", Code: "53100"}, true},
		"a shutdown while a standby is waited for":   {&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, false},
		"a wait for a standby that is canceled":      {&pgconn.PgError{Severity: "ERROR", Code: "57014"}, false},
		"a panic of the server":                      {&pgconn.PgError{Severity: "PANIC", Code: "53100"}, false},
		"a connection failure that the server tells": {&pgconn.PgError{Severity: "ERROR", Code: "08006"}, false},
		"a connection that ended":                    {io.ErrUnexpectedEOF, false},
		"a deadline":                                 {context.DeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := isDecided(test.err); got != test.decided {
				t.Errorf("decided: %v, want %v", got, test.decided)
			}
		})
	}
}
