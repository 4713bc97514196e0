package module

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// ErrorsRoute is the value of errors with which error routes write the bodies of refusals.
const ErrorsRoute = "route"

// DefaultMaxAge is the time for which caches may keep files when the setting says none.
const DefaultMaxAge = time.Hour

// Cache says for how long caches in front may keep files of packages that anyone may read,
// at the files' own paths. The header is in responses to requests without credentials, and
// only in a 200, 206 or 304.
type Cache struct {
	// How long a cache may keep a file without asking. A cache can serve a deleted file for
	// that time. Zero, the default, is one hour.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

func (c *Cache) provision() error {
	if c.MaxAge < 0 || c.MaxAge > 0 && time.Duration(c.MaxAge) < time.Second {
		return fmt.Errorf("max_age of cache is %v: write a second or more", time.Duration(c.MaxAge))
	}
	if c.MaxAge == 0 {
		c.MaxAge = caddy.Duration(DefaultMaxAge)
	}
	return nil
}

// header is the Cache-Control (RFC 9111 section 5.2).
func (c *Cache) header() string {
	return fmt.Sprintf("public, max-age=%d, no-transform", int64(time.Duration(c.MaxAge).Seconds()))
}
