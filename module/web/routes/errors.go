package routes

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxErrorPage bounds what an error route may answer.
const maxErrorPage = 1 << 20

// HasErrors tells whether a request's server does anything with errors.
func HasErrors(r *http.Request) bool { return errorsOf(r) != nil }

func errorsOf(r *http.Request) *caddyhttp.HTTPErrorConfig {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if server == nil || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return nil
	}
	return server.Errors
}

// Error returns what the error routes of a request's server (handle_errors) answer for an
// error: a header, and a body, which is empty when they answer nothing.
func Error(r *http.Request, status int, text string) (header http.Header, body string) {
	own := errorsOf(r)
	if own == nil {
		return nil, ""
	}
	page := &errorPage{header: make(http.Header)}
	refused := caddyhttp.Error(status, errors.New(text))
	if err := own.Routes.Compile(nobody).ServeHTTP(page, own.WithError(withoutBody(r), refused)); err != nil {
		return nil, ""
	}
	page.header.Del("Content-Length")
	return page.header, page.body.String()
}

// nobody answers what no error route does.
var nobody caddyhttp.HandlerFunc = func(http.ResponseWriter, *http.Request) error { return nil }

// withoutBody is a request for an error route: its body is not the route's, and its answer
// is wanted although the client may be gone.
func withoutBody(r *http.Request) *http.Request {
	r = r.Clone(context.WithoutCancel(r.Context()))
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	for _, name := range []string{"Content-Length", "Expect", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		r.Header.Del(name)
	}
	return r
}

// errorPage takes what an error route answers.
type errorPage struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (p *errorPage) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter. The status is the refusal's.
func (p *errorPage) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (p *errorPage) Write(content []byte) (int, error) {
	if p.body.Len()+len(content) > maxErrorPage {
		return 0, errors.New("the page of an error is too large")
	}
	return p.body.Write(content)
}
