package health

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// Probes answer, each at a path, whether a registry is live or ready, and not why: anyone
// may ask. Nil has none.
type Probes struct {
	top    []string // the path that they are below
	passes map[string]func(registry.Health) bool
}

// NewProbes returns the probes below a path. One whose paths are under the prefix of the
// registry, which has the API, or that is no path, is an error.
func NewProbes(path, prefix string) (*Probes, error) {
	top, err := visit.ParsePrefix("health", path)
	if err != nil {
		return nil, err
	}
	apis, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	p := &Probes{top: top, passes: map[string]func(registry.Health) bool{"live": registry.Health.Live, "ready": registry.Health.Ready}}
	if p.Meet(func(path []string) bool { return visit.IsUnder(apis, path) }) {
		return nil, fmt.Errorf("health is %q: its paths are under the prefix %q, which has the API; write a path outside of the prefix", path, prefix)
	}
	return p, nil
}

// Meet tells whether one of the paths, in segments, is somebody else's.
func (p *Probes) Meet(isOthers func(path []string) bool) bool {
	if p == nil {
		return false
	}
	for name := range p.passes {
		if isOthers(append(p.top[:len(p.top):len(p.top)], name)) {
			return true
		}
	}
	return false
}

// Has tells whether a request is for a probe.
func (p *Probes) Has(r *http.Request) bool { return p.find(r) != nil }

// find returns what a request asks of the health, nil when it is for no probe.
func (p *Probes) find(r *http.Request) func(registry.Health) bool {
	if p == nil {
		return nil
	}
	below, inside := visit.ParsePath(r.URL.EscapedPath()).Under(p.top)
	segments, err := below.Segments()
	if !inside || err != nil || len(segments) != 1 {
		return nil
	}
	return p.passes[segments[0]]
}

// Serve answers a probe of the registry of a key, and tells whether the request is one.
func (p *Probes) Serve(w http.ResponseWriter, r *http.Request, key pool.Key) bool {
	passes := p.find(r)
	if passes == nil {
		return false
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		visit.Deny(w, r, visit.MethodNotAllowed("GET, HEAD"))
		return true
	}
	status, text := http.StatusOK, "ok"
	if health, err := pool.Registries.HealthOf(key); err != nil || !passes(health) {
		status, text = http.StatusServiceUnavailable, "unavailable"
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
	return true
}
