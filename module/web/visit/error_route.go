package visit

import (
	"errors"
	"net/http"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/web/routes"
)

const policyName = "Content-Security-Policy"

// routed is the form of refusals that the site's error routes (handle_errors) word, where
// they word them. The status stays the refusal's, and so do its header lines. Refusals for
// programs, such as those in JSON, stay as they are.
func (s *Site) routed(w http.ResponseWriter, r *http.Request, otherwise Form, err error) Form {
	return func(status int, text string) (contentType, body string) {
		policy, hasPolicy := w.Header()[policyName]
		contentType, body = otherwise(status, text)
		if !strings.HasPrefix(contentType, "text/") {
			return contentType, body
		}
		header, page := routes.Error(r, status, plain(text, err))
		if page == "" {
			return contentType, body
		}
		// That of the registry's page is for that page alone.
		if delete(w.Header(), policyName); hasPolicy {
			w.Header()[policyName] = policy
		}
		for name, values := range header {
			if _, ours := w.Header()[name]; !ours {
				w.Header()[name] = values
			}
		}
		return header.Get("Content-Type"), page
	}
}

// markup has the characters that are something else in HTML or a template.
const markup = "<>&\"'`{}"

// plain returns a refusal's text, or what the error itself says when the text has markup: names
// that people chose are in texts. Markup in what the error says is left out.
func plain(text string, err error) string {
	if !strings.ContainsAny(text, markup) {
		return text
	}
	var told *toldError
	for errors.As(err, &told) {
		err = told.error
	}
	_, text, _ = statusOf(err)
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(markup, r) }), "")
}
