package waiting

import "time"

// Retried is why a store could not be opened, which is tried again.
type Retried struct {
	Err      error
	Interval time.Duration // between this try and the next
}

func (r *Retried) Error() string { return r.Err.Error() }

func (r *Retried) Unwrap() error { return r.Err }
