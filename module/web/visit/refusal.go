package visit

import (
	"errors"
	"fmt"
	"net/http"
)

// Refusal is an error of the request itself, which says what the client gets.
type Refusal struct {
	Status int
	// Text says what is wrong, without a line feed. It names no path of this machine.
	Text string
	// Header has lines that the answer needs besides those that every answer with the
	// status has. Nil when there are none.
	Header http.Header
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// Refuses tells the engine, which knows no status, that the error decides against the request.
func (*Refusal) Refuses() {}

// Refuse returns a refusal with a status and a text.
func Refuse(status int, text string) error { return &Refusal{Status: status, Text: text} }

// MethodNotAllowed returns the refusal of a method: 405 with the methods that the path
// answers, as Allow lists them (RFC 9110 section 10.2.1).
func MethodNotAllowed(allow string) error {
	return &Refusal{Status: http.StatusMethodNotAllowed, Text: "method not allowed", Header: http.Header{"Allow": {allow}}}
}

// Refusals of every wing.
var (
	ErrUnauthenticated = Refuse(http.StatusUnauthorized, "authentication required")
	ErrForbidden       = Refuse(http.StatusForbidden, "this user may not do this")
	ErrScope           = Refuse(http.StatusForbidden, "the scope of the token does not cover this")
	ErrCrossSite       = Refuse(http.StatusForbidden, "cross-site request refused")
)

// toldError is an error with the text that its client gets, which says more than the
// error does: which header, which rule, who.
type toldError struct {
	error
	text string
}

// Tell gives an error, which is a refusal or has a status in the table, the text that its
// client gets.
func Tell(err error, format string, arguments ...any) error {
	return &toldError{err, fmt.Sprintf(format, arguments...)}
}

// Unwrap returns the error that the text explains.
func (e *toldError) Unwrap() error { return e.error }

// BrokenOff is the error of a wing that has begun to answer and cannot go on: bytes that were
// promised could not be read. The error is logged and the connection ends, so that no client
// takes what came for the whole. It is none of the errors that its cause is: whoever tries
// something else after one of those would write a second answer after the first.
type BrokenOff struct{ Err error }

// Error returns the text of the error.
func (b *BrokenOff) Error() string { return b.Err.Error() }

// causeOf returns why a request failed, also where its answer was broken off.
func causeOf(err error) error {
	if broken := new(BrokenOff); errors.As(err, &broken) {
		return broken.Err
	}
	return err
}
