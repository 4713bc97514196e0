package pages

import (
	"net/http"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// RedirectGitea answers a request for a page that Gitea has, at {owner}/-/packages and below,
// with where it is here: 302. It tells whether it has answered. What is there is not looked at.
func (p *Pages) RedirectGitea(w http.ResponseWriter, r *http.Request, prefix []string) bool {
	names, known := leadsTo(r, prefix)
	if !known {
		return false
	}
	root := strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)
	_ = redirect(w, http.StatusFound, "./"+root+joined(prefix)+joined(names))
	return true
}

// IsOfGitea tells whether a request is for a page of Gitea, which RedirectGitea answers.
func (p *Pages) IsOfGitea(r *http.Request, prefix []string) bool {
	_, known := leadsTo(r, prefix)
	return p != nil && known
}

// leadsTo returns the folder, below the prefix, that a request for a page of Gitea means.
func leadsTo(r *http.Request, prefix []string) (folder []string, known bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, false
	}
	below, inside := visit.ParsePath(r.URL.EscapedPath()).Under(siteOf(prefix))
	names, err := below.Segments()
	if !inside || err != nil {
		return nil, false
	}
	return fromGitea(names)
}

// siteOf is where Gitea's own pages would be, whose API is at api/packages below it.
func siteOf(prefix []string) []string {
	if api := []string{"api", "packages"}; len(prefix) >= len(api) && slices.Equal(prefix[len(prefix)-len(api):], api) {
		return prefix[:len(prefix)-len(api)]
	}
	return nil
}

// fromGitea returns the folder that the path of a page of Gitea means, below the prefix.
func fromGitea(names []string) (folder []string, known bool) {
	if len(names) < 3 || names[1] != "-" || names[2] != "packages" || naming.CheckOwner(names[0]) != nil {
		return nil, false
	}
	owner, rest := names[0], names[3:]
	if len(rest) > 0 && rest[0] != visit.PackageType {
		return nil, false
	}
	switch len(rest) {
	case 0, 1:
		return []string{owner}, true
	case 2:
		return []string{owner, visit.PackageType, rest[1]}, true
	case 3:
		if rest[2] == "versions" { // the list of them
			return []string{owner, visit.PackageType, rest[1]}, true
		}
		return []string{owner, visit.PackageType, rest[1], rest[2]}, true
	}
	return nil, false
}
