package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// Between two tries there is a pause, which doubles up to a bound.
	firstPause = 200 * time.Millisecond
	lastPause  = 10 * time.Second

	// answerWait is how long a server may take for an answer once it has the request.
	answerWait = 5 * time.Minute
	// expectWait is how long a body waits to be asked for.
	expectWait = 2 * time.Second
)

// client asks one server.
type client struct {
	http *http.Client
	// authorization is what is sent with each request. Empty is nothing.
	authorization string
	// patience is for how long it is tried again while nothing goes forward.
	patience time.Duration
	note     func(format string, arguments ...any)
}

// newClient returns a client that uses so many connections at once.
func newClient(parallel int) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = parallel
	transport.ExpectContinueTimeout = expectWait
	transport.ResponseHeaderTimeout = answerWait
	transport.DisableCompression = true // the bytes as they are
	return &client{
		http: &http.Client{
			Transport: transport,
			CheckRedirect: func(request *http.Request, via []*http.Request) error {
				if via[0].Method != http.MethodGet && via[0].Method != http.MethodHead {
					return http.ErrUseLastResponse
				}
				if len(via) > 5 {
					return errors.New("too many redirects")
				}
				return nil
			},
		},
		note: func(string, ...any) {},
	}
}

// close ends the connections that are kept.
func (c *client) close() { c.http.CloseIdleConnections() }

// request makes a request with the credentials.
func (c *client) request(ctx context.Context, method string, target *url.URL, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "generic-registry-push")
	if c.authorization != "" {
		request.Header.Set("Authorization", c.authorization)
	}
	return request, nil
}

// do sends a request and returns the answer, of which the body is closed by the caller.
func (c *client) do(request *http.Request) (*http.Response, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 && response.StatusCode != http.StatusNotModified {
		defer finish(response)
		return nil, &answerError{status: response.StatusCode, text: "the server sends us to " + response.Header.Get("Location") + ": write that URL"}
	}
	return response, nil
}

// answer sends a request without a body that anybody reads, and returns status and header.
func (c *client) answer(request *http.Request) (*http.Response, error) {
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	defer finish(response)
	if response.StatusCode >= 400 {
		return response, refusedBy(response)
	}
	return response, nil
}

// finish reads the little that may be left, so that the connection is used again.
func finish(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
}

// answerError is an answer that is no success.
type answerError struct {
	status int
	text   string
	after  time.Duration // which the server asks to wait
}

func (e *answerError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), e.text), ": ")
}

// refusedBy reads why a server refused.
func refusedBy(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 2<<10))
	err := &answerError{status: response.StatusCode, text: printable(string(text))}
	if seconds, parse := strconv.Atoi(response.Header.Get("Retry-After")); parse == nil && seconds >= 0 {
		err.after = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return err
}

// printable is what a server says, as one line that cannot play with a terminal.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 300 {
		text = string(runes[:300])
	}
	return text
}

// status returns the status of an answer that was no success, 0 for other errors.
func status(err error) int {
	var answer *answerError
	if errors.As(err, &answer) {
		return answer.status
	}
	return 0
}

// passes tells whether an error may be another one when it is tried again.
func passes(err error) bool {
	for _, last := range []error{context.Canceled, errLocal, errDiffers, errNoDrafts, errForgotten} {
		if errors.Is(err, last) {
			return false
		}
	}
	switch code := status(err); code {
	case 0:
		var dns *net.DNSError
		return !errors.As(err, &dns) || !dns.IsNotFound
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	default:
		return code >= 500 && code != http.StatusNotImplemented && code != http.StatusInsufficientStorage
	}
}

// errLocal: a file of this machine cannot be read or written, or has changed meanwhile.
var errLocal = errors.New("on this machine")

// patiently tries something until it succeeds, fails for good, or went nowhere for the
// client's patience. try tells whether it went forward.
func (c *client) patiently(ctx context.Context, what string, try func() (forward bool, err error)) error {
	pause, since := firstPause, time.Now()
	for {
		forward, err := try()
		if err == nil || ctx.Err() != nil || !passes(err) {
			return err
		}
		if forward {
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
		c.note("%s: %v; trying again", what, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, lastPause)
	}
}

// digestOf returns the SHA-256 that an answer says a file has (RFC 9530, or the ETag of
// this project), and whether it says one.
func digestOf(header http.Header) (digest store.Digest, found bool) {
	if sum, ok := reprDigest(header); ok {
		return sum, true
	}
	if header.Get("X-Checksum-Sha256") != "" {
		digest, err := store.ParseDigest(strings.ToLower(header.Get("X-Checksum-Sha256")))
		return digest, err == nil
	}
	digest, err := store.ParseDigest(strings.Trim(header.Get("ETag"), `"`))
	return digest, err == nil
}
