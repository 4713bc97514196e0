package client

import (
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects bounds how often one request is sent elsewhere.
const maxRedirects = 5

// checkRedirect follows a redirect of a request without a body. Another server never sees the
// credentials, also when it has the same name and another port: only the origin of the first
// request does, and not after another server has chosen the path.
func checkRedirect(request *http.Request, via []*http.Request) error {
	if via[0].Method != http.MethodGet && via[0].Method != http.MethodHead {
		return http.ErrUseLastResponse
	}
	if len(via) > maxRedirects {
		return Final("too many redirects")
	}
	if request.URL.Scheme != "http" && request.URL.Scheme != "https" {
		return Final("the server sends us to " + request.URL.Redacted())
	}
	// For each redirect, net/http copies the header of the first request anew.
	before := via[len(via)-1]
	if before.Header.Get("Authorization") == "" || !mayFollow(via[0].URL, request.URL) {
		request.Header.Del("Authorization")
	}
	return nil
}

// mayFollow tells whether the credentials for one URL may be sent to another. It has the same
// origin, or is the same host with encryption.
func mayFollow(first, next *url.URL) bool {
	if !strings.EqualFold(first.Hostname(), next.Hostname()) {
		return false
	}
	if first.Scheme == next.Scheme {
		return portOf(first) == portOf(next)
	}
	return first.Scheme == "http" && portOf(first) == "80" && next.Scheme == "https" && portOf(next) == "443"
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
