package visit

import (
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
)

// routed is the form of refusals that the site's error routes (handle_errors) word, where
// they word them. The status stays the refusal's, and so do its header lines. Refusals for
// programs, such as those in JSON, stay as they are.
func (s *Site) routed(w http.ResponseWriter, r *http.Request, otherwise Form) Form {
	return func(status int, text string) (contentType, body string) {
		contentType, body = otherwise(status, text)
		if !strings.HasPrefix(contentType, "text/") {
			return contentType, body
		}
		header, page := routes.Error(r, status, text)
		if page == "" {
			return contentType, body
		}
		for name, values := range header {
			if _, ours := w.Header()[name]; !ours {
				w.Header()[name] = values
			}
		}
		return header.Get("Content-Type"), page
	}
}
