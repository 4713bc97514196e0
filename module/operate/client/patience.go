package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// Between two tries there is a pause, which doubles up to a bound.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second
)

// Passes tells whether trying again may help after an error.
func Passes(err error) bool {
	var last finalError
	if errors.Is(err, context.Canceled) || errors.As(err, &last) {
		return false
	}
	switch code := Status(err); code {
	case 0:
		return !isLasting(err)
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	default:
		return code >= 500 && code != http.StatusNotImplemented && code != http.StatusInsufficientStorage
	}
}

// isLasting tells whether an error without an answer comes from a wrong URL or certificate,
// which will be as wrong the next time.
func isLasting(err error) bool {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &certificate) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}

// finalError is an error after which trying again does not help.
type finalError string

func (e finalError) Error() string { return string(e) }

// Final returns an error after which trying again does not help.
func Final(text string) error { return finalError(text) }

// ErrLocal says that a file of this machine cannot be read or written, or has changed meanwhile.
var ErrLocal = Final("on this machine")

// Patiently calls try until it succeeds, until it fails for good, or until the client's
// patience has passed without progress. The result forward tells whether there was progress.
func (c *Client) Patiently(ctx context.Context, what string, try func() (forward bool, err error)) error {
	pause := firstPause
	var since time.Time // the end of the last try that got forward, or of the first one
	for {
		forward, err := try()
		if err == nil || ctx.Err() != nil || !Passes(err) {
			return err
		}
		if forward || since.IsZero() {
			pause, since = firstPause, time.Now()
		}
		if time.Since(since) > c.patience {
			return fmt.Errorf("%w (tried for %s)", err, c.patience)
		}
		wait := pause/2 + rand.N(pause) // not all at once
		var answer *answerError
		if errors.As(err, &answer) {
			wait = max(wait, answer.after)
		}
		c.Note("%s: %v; trying again", what, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, lastPause)
	}
}
