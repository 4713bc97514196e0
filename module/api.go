package module

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/api"
	"github.com/generic-registry/caddy-generic-registry/module/web/visit"
)

// APIOff in place of the path of the JSON API turns it off.
const APIOff = "off"

// provisionAPI makes the JSON API.
func (h *Handler) provisionAPI() (err error) {
	if h.API, err = caddy.NewReplacer().ReplaceOrErr(h.API, true, true); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	path, err := CheckAPI(h.API, h.Prefix)
	if err != nil {
		return err
	}
	h.api = api.New(path)
	if h.probes.Meet(h.api.Meets) {
		return fmt.Errorf("health is %q: its paths are those of the JSON API; write one beside it", h.Health)
	}
	return nil
}

// CheckAPI returns the segments of the path of the JSON API, nil when there is none. A path
// that meets the prefix, or that is none, is an error.
func CheckAPI(path, prefix string) ([]string, error) {
	top, err := visit.ParsePrefix("prefix", prefix)
	if err != nil {
		return nil, err
	}
	switch path {
	case APIOff:
		return nil, nil
	case "":
		return api.DefaultPath(top), nil
	}
	found, err := visit.ParsePrefix("api", path)
	if err != nil {
		return nil, err
	}
	if api.New(found).Meets(top) {
		return nil, fmt.Errorf("api is %q: its paths and those under the prefix %q are the same; write one beside it", path, prefix)
	}
	return found, nil
}
