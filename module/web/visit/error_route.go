package visit

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// maxErrorPage bounds what an error route may answer in place of a refusal.
const maxErrorPage = 1 << 20

// routed is the form of refusals that the site's error routes (handle_errors) word, where
// they word them. The status stays the refusal's, and so do its header lines. Refusals for
// programs, such as those in JSON, stay as they are.
func (s *Site) routed(w http.ResponseWriter, r *http.Request, otherwise Form) Form {
	return func(status int, text string) (contentType, body string) {
		contentType, body = otherwise(status, text)
		server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		isForPeople := strings.HasPrefix(contentType, "text/")
		if !isForPeople || server == nil || server.Errors == nil || len(server.Errors.Routes) == 0 {
			return contentType, body
		}
		page := &errorPage{header: make(http.Header)}
		refused := caddyhttp.Error(status, errors.New(text))
		if err := server.Errors.Routes.Compile(nobody).ServeHTTP(page, server.Errors.WithError(withoutBody(r), refused)); err != nil || page.body.Len() == 0 {
			return contentType, body
		}
		for name, values := range page.header {
			if _, ours := w.Header()[name]; !ours && name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		return page.header.Get("Content-Type"), page.body.String()
	}
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
