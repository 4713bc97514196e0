package module

import (
	"cmp"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/generic-registry/caddy-generic-registry/module/web/resume"
)

// Resumable is the limits of uploads that come in several requests.
type Resumable struct {
	// Whether resumable uploads are turned off. Default: false.
	Off bool `json:"off,omitempty"`

	// The bytes that one request may append, at most; clients are told the value. Choose
	// less than a proxy in front accepts. Zero, the default, is 99614720 (95 MiB); -1 is no
	// limit. A request that contains a whole file may be larger.
	MaxAppend int64 `json:"max_append,omitempty"`

	// For how long an upload may go on. Then its bytes are deleted. Zero, the default, is
	// 24 hours.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The number of uploads that may be begun and not finished; more are answered 503 with
	// Retry-After. Zero, the default, is 1000. Sites that share a root share the count.
	Max int `json:"max,omitempty"`

	// The number of these that one user may have. All anonymous clients count as one user.
	// Zero, the default, is a tenth of Max, and at least 1.
	MaxUser int `json:"max_user,omitempty"`
}

const (
	defaultMaxAppend = 95 << 20
	defaultUploadTTL = 24 * time.Hour
	defaultUploads   = 1000

	// defaultUserShare divides Max: one user may have begun that part of the uploads.
	defaultUserShare = 10

	noMaxAppend = -1
)

// provisionResume makes the wing of resumable uploads with the settings.
func (h *Handler) provisionResume() error {
	var settings Resumable
	if h.Resumable != nil {
		settings = *h.Resumable
	}
	if settings.MaxAppend < noMaxAppend || settings.TTL < 0 || settings.Max < 0 || settings.MaxUser < 0 {
		return errors.New("resumable: max_append, ttl, max and max_user must be above zero, or be left out; a max_append of -1 is no limit")
	}
	most := cmp.Or(settings.Max, defaultUploads)
	h.resume = resume.Resume{
		Files:     &h.files,
		Off:       settings.Off,
		MaxAppend: max(0, cmp.Or(settings.MaxAppend, defaultMaxAppend)),
		Age:       cmp.Or(time.Duration(settings.TTL), defaultUploadTTL),
		Most:      most,
		UserMost:  cmp.Or(settings.MaxUser, max(1, most/defaultUserShare)),
	}
	return nil
}
