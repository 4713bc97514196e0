package push

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// target is the version that files go to, or come from.
type target struct {
	// base is the URL of the version, without a user, a query or a slash at its end.
	base *url.URL
	// prefix is the escaped path that the owner stands under, and owner, name and version
	// are the escaped elements after it.
	prefix, owner, name, version string
	// user of the URL, if it has one.
	user string
}

// parseTarget reads the URL of a version: …/{owner}/generic/{package}/{version}.
func parseTarget(text string) (target, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return target{}, fmt.Errorf("the URL of the version: %w", err)
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return target{}, fmt.Errorf("%q is not the URL of a version: write https://<host>/api/packages/<owner>/generic/<package>/<version>", text)
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return target{}, errors.New("the URL of the version has a query or a fragment: leave it out")
	}
	t := target{user: parsed.User.Username()}
	if _, has := parsed.User.Password(); has {
		return target{}, errors.New("the URL has a password, which others can read in the list of processes: leave it out, and write it to the environment or a file")
	}
	parsed.User = nil
	elements := strings.Split(strings.TrimRight(parsed.EscapedPath(), "/"), "/")
	if len(elements) < 5 || elements[len(elements)-3] != "generic" {
		return target{}, fmt.Errorf("%s is not the URL of a version: its path ends in /<owner>/generic/<package>/<version>", parsed.Redacted())
	}
	last := elements[len(elements)-4:]
	t.prefix, t.owner, t.name, t.version = strings.Join(elements[:len(elements)-4], "/"), last[0], last[2], last[3]
	if t.owner == "" || t.name == "" || t.version == "" {
		return target{}, fmt.Errorf("%s is not the URL of a version: an element of its path is empty", parsed.Redacted())
	}
	t.base = withPath(parsed, strings.Join(elements, "/"))
	return t, nil
}

// withPath returns a URL of the same site with an escaped path, which is one.
func withPath(site *url.URL, escaped string) *url.URL {
	changed := *site
	changed.RawPath = escaped
	changed.Path, _ = url.PathUnescape(escaped)
	changed.RawQuery = ""
	return &changed
}

// file returns the URL of a file of the version.
func (t target) file(name string) *url.URL {
	return withPath(t.base, t.base.EscapedPath()+"/"+escape(name))
}

// escape writes a name as one element of a path. Dots alone would be another path.
func escape(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// listing returns where the JSON API lists the files of the version. Empty where a prefix
// has none beside it.
func (t target) listing() *url.URL {
	parent, ok := strings.CutSuffix(t.prefix, "/api/packages")
	if !ok {
		return nil
	}
	return withPath(t.base, strings.Join([]string{parent, "api/v1/packages", t.owner, "generic", t.name, t.version, "files"}, "/"))
}
