package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

const (
	// answerTime bounds a request, from the connection to the answer.
	answerTime = 10 * time.Second
	// answerSize is how much of the body of an answer is read, so that the connection can be
	// used again. What is longer ends the connection.
	answerSize = 64 << 10
	// answerHeader bounds the header of an answer.
	answerHeader = 64 << 10
)

// errPrivate: the receiver has an address that is not public.
var errPrivate = errors.New("the receiver's address is not public: write allow_private if this address is right")

// newClient returns a client for one receiver. It follows no redirect, and asks before each
// connection whether addresses that are not public are allowed.
func newClient(allowPrivate func() bool) *http.Client {
	dialer := &net.Dialer{
		Timeout: answerTime,
		// Called with the address that is connected to, after names were looked up: one
		// that answers with another address each time is no way in.
		Control: func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading the receiver's address: %w", err)
			}
			if !allowPrivate() && !isPublic(to.Addr()) {
				return errPrivate
			}
			return nil
		},
	}
	return &http.Client{
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			// No proxy: the address of a proxy says nothing of the receiver's.
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: answerHeader,
			DisableCompression:     true,
		},
	}
}

// send sends one request, and returns the status that it was answered with, if it was. The
// receiver has taken it when there is no error.
func send(ctx context.Context, client *http.Client, hook Hook, id string, body []byte) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return 0, errors.New("the URL is none")
	}
	setHeader(request.Header, id, hook.Secret, body)
	response, err := client.Do(request)
	if err != nil {
		// What is around it has the URL, of which parts may be secret.
		if around := new(url.Error); errors.As(err, &around) {
			err = around.Err
		}
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.CopyN(io.Discard, response.Body, answerSize)
	switch {
	case response.StatusCode/100 == 2:
		return response.StatusCode, nil
	case err != nil && !errors.Is(err, io.EOF):
		return response.StatusCode, fmt.Errorf("reading the answer: %w", err)
	case response.StatusCode/100 == 3:
		return response.StatusCode, fmt.Errorf("the receiver answers %d: redirects are not followed", response.StatusCode)
	}
	return response.StatusCode, fmt.Errorf("the receiver answers %d", response.StatusCode)
}

// notPublic are addresses of which netip.Addr does not say so: shared address space (RFC
// 6598), those of this network, of protocol assignments, of documentation, of benchmarks and
// reserved ones (RFC 6890), and those of IPv6 that have one of IPv4 in them (RFC 6052, RFC
// 3056, RFC 4380, RFC 4291 section 2.5.5), or had a site (RFC 3879).
var notPublic = parsePrefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16", "fec0::/10",
)

func parsePrefixes(texts ...string) (prefixes []netip.Prefix) {
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}

// isPublic tells whether an address is one of the internet.
func isPublic(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return address.IsGlobalUnicast() && !address.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}
