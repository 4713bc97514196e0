package visit

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// URL returns the absolute URL of a path below the site's prefix, as the client sees it.
func (v *Visit) URL(segments ...string) string {
	var path strings.Builder
	path.WriteString(v.Base())
	for _, list := range [][]string{v.site.Prefix, segments} {
		for _, segment := range list {
			path.WriteString("/" + url.PathEscape(segment))
		}
	}
	return path.String()
}

// Base returns the scheme and the host of the request, and what was stripped off its path
// in front of the handler. Those that a proxy says count where Caddy trusts the proxy.
func (v *Visit) Base() string {
	r := v.request
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); trusted {
		if said := forwarded(r, "X-Forwarded-Proto"); said == "http" || said == "https" {
			scheme = said
		}
		if said := forwarded(r, "X-Forwarded-Host"); isHost(said) {
			host = said
		}
	}
	stripped, whole := strings.CutSuffix(OriginalPath(r), r.URL.EscapedPath())
	if !whole {
		stripped = "" // rewritten in another way
	}
	return scheme + "://" + host + strings.TrimRight(stripped, "/")
}

// forwarded is what the proxy nearest to the client says.
func forwarded(r *http.Request, header string) string {
	said, _, _ := strings.Cut(r.Header.Get(header), ",")
	return strings.ToLower(strings.TrimSpace(said))
}

func isHost(text string) bool {
	parsed, err := url.Parse("//" + text)
	return err == nil && text != "" && parsed.Host == text
}

// OriginalPath returns the path as the client sent it, before any rewrite.
func OriginalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL.EscapedPath()
	}
	return r.URL.EscapedPath()
}
