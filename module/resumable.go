package module

import (
	"cmp"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/resume"
)

// Resumable says how uploads may come in several requests.
type Resumable struct {
	// Whether no upload may. Default: false.
	Off bool `json:"off,omitempty"`

	// The bytes that one request may append, at most, as clients are told: below what a
	// proxy in front takes. Zero, the default, is 99614720 (95 MiB); -1 is no limit. A
	// request that brings a whole file may be larger.
	MaxAppend int64 `json:"max_append,omitempty"`

	// For how long an upload may go on. Then it is given up, and its bytes are deleted.
	// Zero, the default, is 24 hours.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The uploads that are begun and not finished, at most; more are answered 503 with
	// Retry-After. Zero, the default, is 1000. Sites that share a root share the count.
	Max int `json:"max,omitempty"`
}

const (
	defaultMaxAppend = 95 << 20
	defaultUploadTTL = 24 * time.Hour
	defaultUploads   = 1000

	noMaxAppend = -1
)

// provisionResume makes the wing of resumable uploads out of the settings.
func (h *Handler) provisionResume() error {
	var settings Resumable
	if h.Resumable != nil {
		settings = *h.Resumable
	}
	if settings.MaxAppend < noMaxAppend || settings.TTL < 0 || settings.Max < 0 {
		return errors.New("resumable: max_append, ttl and max are above zero, or left out; a max_append of -1 is no limit")
	}
	h.resume = resume.Resume{
		Files:     &h.files,
		Off:       settings.Off,
		MaxAppend: max(0, cmp.Or(settings.MaxAppend, defaultMaxAppend)),
		Age:       cmp.Or(time.Duration(settings.TTL), defaultUploadTTL),
		Most:      cmp.Or(settings.Max, defaultUploads),
	}
	return nil
}
