package send

import (
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// largePiece is what a client that reads fast is sent at a time: pieces of Caddy's
	// size cost 20 to 40 % more processor time, larger ones than this no less.
	largePiece = 256 << 10

	// paceBytes are sent between two looks at how fast the client reads. Fewer would
	// tell how fast the kernel's buffer is filled, which is of 4 MiB by default.
	paceBytes = 8 << 20

	// patience is how many times as long as a large piece takes the idle timeout must be.
	patience = 100
)

// pace chooses pieces by how fast a client reads. Caddy's idle timeout bounds each piece
// as a whole: so a slow client gets Caddy's own, and one that gets larger ones would have
// to become a hundred times slower within paceBytes to be cut off for them.
type pace struct {
	small, large int64
	timeout      time.Duration
	fast         bool
}

// newPace begins with Caddy's pieces. It stays with them where the site says another size
// than the default (write_max_chunk), or a least rate (write_idle), which can leave less
// time for a piece than the timeout.
func newPace(idle *caddyhttp.IdleTimeoutWriter) *pace {
	p := &pace{small: int64(idle.MaxChunk), timeout: idle.Deadline.Timeout}
	if p.small <= 0 {
		p.small = caddyhttp.DefaultMaxWriteChunk
	}
	p.large = p.small
	if p.small == caddyhttp.DefaultMaxWriteChunk && idle.Deadline.MinRate == 0 {
		p.large = largePiece
	}
	return p
}

func (p *pace) piece() int64 {
	if p.fast {
		return p.large
	}
	return p.small
}

// bytes is how many to send before looking again.
func (p *pace) bytes() int64 { return max(p.piece(), paceBytes) }

// saw says how long some bytes took.
func (p *pace) saw(bytes int64, took time.Duration) {
	each := took.Seconds() * float64(p.large) / float64(bytes)
	p.fast = each*patience < p.timeout.Seconds()
}
