package admin

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/generic-registry/caddy-generic-registry/module/operate/health"
	"github.com/generic-registry/caddy-generic-registry/module/pool"
)

// serveHealth answers with the health of all registries, or of those with a root.
func serveHealth(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return refuse(http.StatusMethodNotAllowed, errMethod)
	}
	root := r.URL.Query().Get("root")
	registries := pool.Registries.Health(root)
	if root != "" && len(registries) == 0 {
		return refuse(http.StatusNotFound, fmt.Errorf("%w: none has the root %s", pool.ErrNoRegistry, root))
	}
	status, all := http.StatusOK, make([]health.Registry, 0, len(registries))
	for _, one := range registries {
		shown := health.Of(one)
		if !shown.Ready {
			status = http.StatusServiceUnavailable
		}
		all = append(all, shown)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(all)
}
