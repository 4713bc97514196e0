package module

import "fmt"

// toldError is an error with the text that its client gets, which says more than the
// error does: which header, which rule, who.
type toldError struct {
	error
	text string
}

// tell gives an error the text that its client gets.
func tell(err error, format string, arguments ...any) error {
	return &toldError{err, fmt.Sprintf(format, arguments...)}
}

// Unwrap returns the error that the text explains.
func (e *toldError) Unwrap() error { return e.error }
