package caddyfile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module"
	"github.com/generic-registry/caddy-generic-registry/module/web/api"
)

// missedPaths returns the path matcher's patterns if no path of the registry matches
// any of them. What depends on placeholders is not judged.
func missedPaths(matchers caddy.ModuleMap, handler *module.Handler) (paths []string, missed bool) {
	raw, found := matchers["path"]
	if !found || json.Unmarshal(raw, &paths) != nil {
		return nil, false
	}
	tops := []string{cmp.Or(handler.Prefix, module.DefaultPrefix)}
	if handler.Health != "" {
		tops = append(tops, handler.Health)
	}
	if handler.API != "" && handler.API != api.Off {
		tops = append(tops, handler.API)
	}
	if strings.Contains(strings.Join(append(tops, paths...), ""), "{") {
		return nil, false
	}
	return paths, !slices.ContainsFunc(paths, func(pattern string) bool {
		return slices.ContainsFunc(tops, func(top string) bool { return module.PathMeets(pattern, top) })
	})
}

// missedText says what to write in place of a matcher that matches nothing of the
// registry.
func missedText(written, paths []string, handler *module.Handler) string {
	prefix := strings.TrimRight(cmp.Or(handler.Prefix, module.DefaultPrefix), "/")
	text := fmt.Sprintf("the path matcher %s matches nothing under the prefix %s", strings.Join(paths, " "), prefix+"/")
	if path := strings.TrimRight(strings.Join(written, ""), "/*"); len(written) == 1 && strings.HasPrefix(path, "/") && path != prefix {
		return text + fmt.Sprintf(": write %s/*, or no matcher; for a directory write root %s in a block, for the path of the API write prefix %s", prefix, path, path)
	}
	return text + fmt.Sprintf(": write %s/*, or no matcher", prefix)
}
