package module

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"go.uber.org/zap"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

// pathStack has the patterns of the path matchers around a handler, the outer first.
// Each must match; nil matches every path.
type pathStack [][]string

// reaches tells whether a handler can be asked for a path below another one.
func (s pathStack) reaches(top string) bool {
	return !slices.ContainsFunc(s, func(patterns []string) bool {
		return patterns != nil && !slices.ContainsFunc(patterns, func(pattern string) bool { return PathMeets(pattern, top) })
	})
}

// PathMeets tells whether a pattern of a path matcher, which ignores case, can match a
// path below another one. One with a placeholder can.
func PathMeets(pattern, top string) bool {
	pattern, top = strings.ToLower(pattern), strings.TrimRight(strings.ToLower(top), "/")+"/"
	wildcard := strings.IndexAny(pattern, "*?[{")
	if wildcard < 0 {
		return strings.HasPrefix(pattern, top) && pattern != top
	}
	literal := pattern[:wildcard]
	return strings.HasPrefix(literal, top) || strings.HasPrefix(top, literal)
}

// neighbours is what stands beside registries in one site, each with its paths.
type neighbours struct {
	registries []placed[*Handler]
	tokens     []placed[*Authenticator]
	passwords  []pathStack // of basic_auth
	roots      []string    // of files
}

type placed[T any] struct {
	handler T
	paths   pathStack
}

// sites returns the sites of the HTTP servers: the routes with a host, each by itself,
// and what a server has for every host.
func sites(app *caddyhttp.App) (all []*neighbours) {
	for _, server := range app.Servers {
		every := new(neighbours)
		for _, route := range server.Routes {
			site := every
			if hasHost(route) {
				site = new(neighbours)
				all = append(all, site)
			}
			site.add(route, nil)
		}
		for _, route := range server.NamedRoutes {
			every.add(*route, nil)
		}
		all = append(all, every)
	}
	return all
}

func hasHost(route caddyhttp.Route) bool {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if _, ok := matcher.(*caddyhttp.MatchHost); ok {
				return true
			}
		}
	}
	return false
}

// add notes what a route has, and the routes in it.
func (n *neighbours) add(route caddyhttp.Route, around pathStack) {
	paths := append(around[:len(around):len(around)], pathsOf(route))
	for _, handler := range route.Handlers {
		switch h := handler.(type) {
		case *caddyhttp.Subroute:
			for _, inner := range h.Routes {
				n.add(inner, paths)
			}
		case *Handler:
			n.registries = append(n.registries, placed[*Handler]{h, paths})
		case *caddyauth.Authentication:
			n.addProviders(h, paths)
		case *caddyhttp.VarsMiddleware:
			if root, ok := (*h)["root"].(string); ok {
				n.addRoot(root)
			}
		case *fileserver.FileServer:
			n.addRoot(h.Root)
		}
	}
}

// pathsOf returns the patterns of a route's path matchers, or nil when it can match
// any path.
func pathsOf(route caddyhttp.Route) (patterns []string) {
	for _, set := range route.MatcherSets {
		i := slices.IndexFunc(set, func(matcher any) bool { _, ok := matcher.(*caddyhttp.MatchPath); return ok })
		if i < 0 {
			return nil
		}
		patterns = append(patterns, *set[i].(*caddyhttp.MatchPath)...)
	}
	return patterns
}

func (n *neighbours) addProviders(authentication *caddyauth.Authentication, paths pathStack) {
	for name, provider := range authentication.Providers {
		if ours, ok := provider.(*Authenticator); ok {
			n.tokens = append(n.tokens, placed[*Authenticator]{ours, paths})
		}
		if name == "http_basic" {
			n.passwords = append(n.passwords, paths)
		}
	}
}

func (n *neighbours) addRoot(root string) {
	root = caddy.NewReplacer().ReplaceKnown(root, "")
	if root == "" || strings.ContainsAny(root, "{}") {
		return // which may be anywhere
	}
	if absolute, err := filepath.Abs(root); err == nil {
		n.roots = append(n.roots, absolute)
	}
}

// warnOfNeighbours logs what of a configuration is valid and hardly meant, and only
// seen when all of it is known.
func (a *App) warnOfNeighbours(app *caddyhttp.App) {
	all := sites(app)
	for _, site := range all {
		for _, tokens := range site.tokens {
			if site.passwordsBefore(tokens) {
				a.log.Warn("basic_auth and generic_registry_auth check the same requests: basic_auth refuses tokens that are sent as passwords; write its users into basic of generic_registry_auth", zap.String("root", tokens.handler.Root))
			}
		}
		for _, root := range site.roots {
			for _, own := range a.directories() {
				if isBelow(own, root) || isBelow(root, own) {
					a.log.Warn("the registry's directory is inside or around the root of a site: the site serves the registry's files without its rules; give the registry a directory of its own",
						zap.String("directory", own), zap.String("site_root", root))
				}
			}
		}
	}
	a.warnOfRules()
}

// passwordsBefore tells whether basic_auth checks requests of a registry whose tokens
// an authenticator takes.
func (n *neighbours) passwordsBefore(tokens placed[*Authenticator]) bool {
	return slices.ContainsFunc(n.registries, func(r placed[*Handler]) bool {
		top := r.handler.Prefix
		return r.handler.Root == tokens.handler.Root && r.paths.reaches(top) && tokens.paths.reaches(top) &&
			slices.ContainsFunc(n.passwords, func(paths pathStack) bool { return paths.reaches(top) })
	})
}

// directories returns those of the registries: their roots, and what their stores say
// that they are in.
func (a *App) directories() (all []string) {
	for key, use := range a.uses {
		all = append(all, use.config.Root)
		for _, identity := range []string{key.Metadata, key.Blobs} {
			if _, directory, found := strings.Cut(identity, " at "); found && filepath.IsAbs(directory) {
				all = append(all, directory)
			}
		}
	}
	slices.Sort(all)
	kept := all[:0]
	for _, directory := range all {
		// What is in the root is told with it.
		if len(kept) == 0 || !isBelow(directory, kept[len(kept)-1]) {
			kept = append(kept, directory)
		}
	}
	return kept
}

// isBelow tells whether a directory is another one or in it.
func isBelow(directory, top string) bool {
	relative, err := filepath.Rel(resolved(top), resolved(directory))
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}

func resolved(directory string) string {
	if real, err := filepath.EvalSymlinks(directory); err == nil {
		return real
	}
	return directory
}

// warnOfRules compares the rules of handlers with one root.
func (a *App) warnOfRules() {
	rules := make(map[pool.Key][]byte)
	warned := make(map[pool.Key]bool)
	for _, h := range a.handlers {
		own, err := json.Marshal([]any{h.Owners, h.Admins, h.Republishing})
		if err != nil {
			continue
		}
		if other, ok := rules[h.store]; ok && !bytes.Equal(own, other) && !warned[h.store] {
			warned[h.store] = true
			a.log.Warn("handlers with the same root have different owner rules, so who may do what depends on the site; write the same rules, or import them", zap.String("root", h.Root))
		}
		rules[h.store] = own
	}
}
