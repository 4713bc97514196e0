package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// VersionURL is the URL of the version that files are sent to or fetched from.
type VersionURL struct {
	// Base is the URL of the version, without a user, a query or a slash at its end.
	Base *url.URL
	// prefix is the escaped path that the owner stands under, and owner, name and version
	// are the escaped elements after it.
	prefix, owner, name, version string
	// user is the user of the URL, empty without one.
	user string
}

// ParseVersionURL reads a URL whose path ends in /{owner}/generic/{package}/{version}.
func ParseVersionURL(text string) (VersionURL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return VersionURL{}, fmt.Errorf("the URL of the version: %w", err)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return VersionURL{}, fmt.Errorf("%q is not the URL of a version: write https://<host>/api/packages/<owner>/generic/<package>/<version>", text)
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return VersionURL{}, errors.New("the URL of the version has a query or a fragment: leave it out")
	}
	u := VersionURL{user: parsed.User.Username()}
	if _, has := parsed.User.Password(); has {
		return VersionURL{}, errors.New("the URL has a password, which others can read in the list of processes: leave it out, and write it to the environment or a file")
	}
	parsed.User = nil
	elements := strings.Split(strings.TrimRight(parsed.EscapedPath(), "/"), "/")
	if len(elements) < 5 || elements[len(elements)-3] != "generic" {
		return VersionURL{}, fmt.Errorf("%s is not the URL of a version: its path ends in /<owner>/generic/<package>/<version>", parsed.Redacted())
	}
	last := elements[len(elements)-4:]
	u.prefix, u.owner, u.name, u.version = strings.Join(elements[:len(elements)-4], "/"), last[0], last[2], last[3]
	if u.owner == "" || u.name == "" || u.version == "" {
		return VersionURL{}, fmt.Errorf("%s is not the URL of a version: an element of its path is empty", parsed.Redacted())
	}
	u.Base = withPath(parsed, strings.Join(elements, "/"))
	return u, nil
}

// withPath returns the URL of another path, which is escaped, of the same site.
func withPath(site *url.URL, escaped string) *url.URL {
	changed := *site
	changed.RawPath = escaped
	changed.Path, _ = url.PathUnescape(escaped)
	changed.RawQuery = ""
	return &changed
}

// File returns the URL of a file of the version.
func (u VersionURL) File(name string) *url.URL {
	return withPath(u.Base, u.Base.EscapedPath()+"/"+escape(name))
}

// Folder returns the URL at which a server lists the files of the version, if it has folders.
func (u VersionURL) Folder() *url.URL { return withPath(u.Base, u.Base.EscapedPath()+"/") }

// Exact returns the URL of the version whose file an answer has, by its Content-Location. False
// where the answer names no other version of the package. The header may be that of a redirect.
func (u VersionURL) Exact(answer *http.Response) (exact VersionURL, other bool) {
	for ; answer != nil; answer = answer.Request.Response {
		location := answer.Header.Get("Content-Location")
		if location == "" {
			continue
		}
		place, err := answer.Request.URL.Parse(location)
		if err != nil {
			return u, false
		}
		return u.another(path.Dir(place.EscapedPath()))
	}
	return u, false
}

// ExactFolder is Exact of the answer for Folder, by where redirects have led.
func (u VersionURL) ExactFolder(answer *http.Response) (exact VersionURL, other bool) {
	return u.another(strings.TrimSuffix(answer.Request.URL.EscapedPath(), "/"))
}

// another returns the URL of the version at an escaped path. False where that is no other version
// of the package.
func (u VersionURL) another(version string) (exact VersionURL, other bool) {
	exact, err := ParseVersionURL((&url.URL{Scheme: u.Base.Scheme, Host: u.Base.Host}).String() + version)
	if err != nil || path.Dir(version) != path.Dir(u.Base.EscapedPath()) {
		return u, false
	}
	exact.user = u.user
	return exact, exact.version != u.version
}

// escape writes a name as one element of a path. Dots alone would be another path.
func escape(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// Listing returns the URL at which the JSON API lists the files of the version. It is nil
// where the prefix is not Gitea's: then nobody knows where the API is.
func (u VersionURL) Listing() *url.URL {
	parent, ok := strings.CutSuffix(u.prefix, "/api/packages")
	if !ok {
		return nil
	}
	return withPath(u.Base, strings.Join([]string{parent, "api/v1/packages", u.owner, "generic", u.name, u.version, "files"}, "/"))
}
