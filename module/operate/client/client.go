package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// answerWait is how long a server may take for an answer once it has the request.
	answerWait = 5 * time.Minute
	// expectWait is how long a body waits to be asked for.
	expectWait = 2 * time.Second
	// pingWait is how long a connection of HTTP/2 is silent before it is tested, and then how long
	// the test takes.
	pingWait = 30 * time.Second
)

// Client asks one server.
type Client struct {
	http *http.Client
	// Authorization is what is sent with each request. Empty is nothing.
	Authorization string
	// patience is for how long a request is tried again while nothing goes forward.
	patience time.Duration
	// Note says to the user why something is tried again. New sets one that says nothing.
	Note func(format string, arguments ...any)
}

// newClient returns a client that keeps a connection for each of its parallel requests.
func newClient(parallel int, patience time.Duration) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = parallel
	transport.ExpectContinueTimeout = min(expectWait, patience/2)
	transport.ResponseHeaderTimeout = answerWait
	// A connection of HTTP/2 that leads nowhere would be used for each further try.
	transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: min(pingWait, patience/4), PingTimeout: min(pingWait, patience/4)}
	transport.DisableCompression = true // the bytes as they are
	return &Client{
		http:     &http.Client{Transport: transport, CheckRedirect: checkRedirect},
		patience: patience,
		Note:     func(string, ...any) {},
	}
}

// Close ends the connections that are kept.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request makes a request with the credentials.
func (c *Client) Request(ctx context.Context, method string, target *url.URL, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "generic-registry-push")
	if c.Authorization != "" {
		request.Header.Set("Authorization", c.Authorization)
	}
	return request, nil
}

// Do sends a request and returns the answer, whose body the caller closes. Both end when the
// server does nothing for as long as the client is patient.
func (c *Client) Do(request *http.Request) (*http.Response, error) {
	dog := watch(request.Context(), c.patience)
	response, err := c.http.Do(dog.over(request))
	if err != nil {
		dog.end()
		return nil, dog.why(err)
	}
	dog.Rest()
	response.Body = &receivedBody{response.Body, dog}
	if response.StatusCode >= 300 && response.StatusCode < 400 && response.StatusCode != http.StatusNotModified {
		defer Finish(response)
		return nil, &answerError{status: response.StatusCode, text: "the server sends us to " + response.Header.Get("Location") + ": write that URL"}
	}
	return response, nil
}

// Answer sends a request and returns the status and the header of the answer, whose body
// nobody reads.
func (c *Client) Answer(request *http.Request) (*http.Response, error) {
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer Finish(response)
	if response.StatusCode >= 400 {
		return response, RefusedBy(response)
	}
	return response, nil
}

// Finish reads the little that may be left of an answer, so that its connection is used again.
func Finish(response *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	_ = response.Body.Close()
}

// answerError is an answer that is no success.
type answerError struct {
	status int
	text   string
	after  time.Duration // that the server asks the client to wait
}

func (e *answerError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%d %s: %s", e.status, http.StatusText(e.status), e.text), ": ")
}

// RefusedBy returns the error that an answer says, and reads its text.
func RefusedBy(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 2<<10))
	err := &answerError{status: response.StatusCode, text: Printable(string(text))}
	if seconds, parse := strconv.Atoi(response.Header.Get("Retry-After")); parse == nil && seconds >= 0 {
		err.after = min(time.Duration(seconds)*time.Second, time.Minute)
	}
	return err
}

// Printable returns a server's text as one line without characters that control a terminal.
func Printable(text string) string {
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

// Status returns the status of the answer that an error tells of. It is 0 for other errors.
func Status(err error) int {
	var answer *answerError
	if errors.As(err, &answer) {
		return answer.status
	}
	return 0
}
