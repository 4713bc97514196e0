package module

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/pool"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// What can be asked under the health path of a handler.
const (
	probeLive  = "live"
	probeReady = "ready"
)

// provisionHealth checks where live and ready answer. The API must not have these
// paths.
func (h *Handler) provisionHealth() (err error) {
	if h.Health == "" {
		return nil
	}
	if h.Health, err = caddy.NewReplacer().ReplaceOrErr(h.Health, true, true); err != nil {
		return fmt.Errorf("health: %w", err)
	}
	h.health, err = CheckHealth(h.Health, h.Prefix)
	return err
}

// CheckHealth returns the segments of a health path. One whose paths the API has, or
// that is no path, is an error.
func CheckHealth(path, prefix string) ([]string, error) {
	health, err := visit.ParsePrefix("health", path)
	if err != nil {
		return nil, err
	}
	top, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	for _, probe := range []string{probeLive, probeReady} {
		if visit.IsUnder(top, append(health[:len(health):len(health)], probe)) {
			return nil, fmt.Errorf("health is %q: its paths are under the prefix %q, which has the API; write one beside it", path, prefix)
		}
	}
	return health, nil
}

// healthProbe tells whether a path is one of the health path's, and which.
func (h *Handler) healthProbe(escaped string) (probe string, ours bool) {
	if h.health == nil {
		return "", false
	}
	below, inside := visit.ParsePath(escaped).Under(h.health)
	segments, err := below.Segments()
	if !inside || err != nil || len(segments) != 1 {
		return "", false
	}
	return segments[0], segments[0] == probeLive || segments[0] == probeReady
}

// answerProbe says whether the registry is live or ready, and not why: anyone may
// ask.
func (h *Handler) answerProbe(w http.ResponseWriter, r *http.Request, probe string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		visit.Deny(w, r, visit.MethodNotAllowed("GET, HEAD"))
		return
	}
	status, text := http.StatusOK, "ok"
	if !h.passes(probe) {
		status, text = http.StatusServiceUnavailable, "unavailable"
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
}

func (h *Handler) passes(probe string) bool {
	health, err := pool.Registries.HealthOf(h.store)
	if err != nil {
		return false
	}
	if probe == probeReady {
		return health.Ready()
	}
	return health.Live()
}
