package pages

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/naming"
	"github.com/generic-registry/caddy-generic-registry/module/web/pages/view"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// errNoFolder: a path of few enough segments that names no folder.
var errNoFolder = visit.Refuse(http.StatusNotFound, "not found: the folders are {owner}/generic/{package}/{version}/ under the prefix")

// level is how many segments the path of a folder has below the prefix.
type level int

const (
	levelRegistry level = iota // its entries are owners
	levelOwner                 // its entry is the package type
	levelType                  // packages
	levelPackage               // versions
	levelVersion               // files
)

// folder is what one path names: the site, an owner, a package or a version.
type folder struct {
	level level
	store.VersionRef
}

// parseFolder reads the path of a folder below the prefix. Its errors are
// store.ErrUnsafePath, store.ErrInvalidOwner and errNoFolder.
func parseFolder(path visit.Path) (at folder, err error) {
	segments, err := path.Segments()
	if err != nil {
		return at, err
	}
	at.level = level(len(segments))
	for i, name := range segments {
		switch level(i + 1) {
		case levelOwner:
			at.Owner = name
		case levelType:
			if name != visit.PackageType {
				return at, errNoFolder
			}
		case levelPackage:
			at.Package = name
		case levelVersion:
			at.Version = name
		default:
			return at, errNoFolder
		}
	}
	if at.level >= levelOwner {
		err = naming.CheckOwner(at.Owner)
	}
	return at, err
}

// segments are the names of the path, which parseFolder reads.
func (at folder) segments() []string {
	return []string{at.Owner, visit.PackageType, at.Package, at.Version}[:at.level]
}

// path is the escaped path below the prefix, of a folder.
func (at folder) path() string { return joined(at.segments()) }

// joined returns the escaped path of a folder, relative to the one that the first name is
// in.
func joined(names []string) string {
	var path strings.Builder
	for _, name := range names {
		path.WriteString(view.Segment(name) + "/")
	}
	return path.String()
}

// up is the relative URL of the folder some levels up.
func up(levels level) string {
	if levels == 0 {
		return "./"
	}
	return strings.Repeat("../", int(levels))
}

// parents are the links from the registry down to the folder that this one is in. The
// package type is no step for people: an owner's page has the packages.
func (at folder) parents() (links []view.Link) {
	for i, text := range []string{registryTitle, at.Owner, "", at.Package}[:min(at.level, levelVersion)] {
		if text != "" && !(at.level == levelType && level(i) == levelOwner) {
			links = append(links, view.Link{Text: text, URL: up(at.level - level(i))})
		}
	}
	return links
}

// registryTitle is what the page of the registry is called.
const registryTitle = "Packages"

// name is what the folder's page is called.
func (at folder) name() string {
	switch at.level {
	case levelRegistry:
		return registryTitle
	case levelOwner, levelType:
		return at.Owner
	case levelPackage:
		return at.Package
	}
	return at.Version
}

// title is that of the folder's window.
func (at folder) title() string {
	switch at.level {
	case levelPackage:
		return at.Owner + "/" + at.Package
	case levelVersion:
		return at.Owner + "/" + at.Package + " " + at.Version
	}
	return at.name()
}

// withSlash is the relative URL of the folder that a request without the slash at the end
// asked for.
func withSlash(r *http.Request) string {
	path := r.URL.EscapedPath()
	last, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil {
		return "./" // parseFolder has refused it
	}
	location := "./" + view.Segment(last) + "/"
	if r.URL.RawQuery != "" {
		location += "?" + r.URL.RawQuery
	}
	return location
}

// query returns a URL of this page with parameters, given as names and values. Those without
// a value are left out.
func query(pairs ...string) string {
	values := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return "./"
	}
	return "./?" + values.Encode()
}
