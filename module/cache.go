package module

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// ErrorsRoute is the value of errors that has error routes word refusals.
const ErrorsRoute = "route"

// DefaultMaxAge is for how long caches keep files that anyone may read.
const DefaultMaxAge = time.Hour

// Cache says for how long caches in front may keep files at their own paths, of packages
// that anyone may read. It is said to requests that come without credentials, and only in
// answers that are 200, 206 or 304.
type Cache struct {
	// How long a cache may keep a file without asking. A file that is deleted stays in the
	// cache for so long. Zero, the default, is one hour.
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
