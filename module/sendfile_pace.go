package module

import (
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

const (
	// largePiece is what a client that reads fast is sent at a time: pieces of Caddy's
	// size cost a third more processor time, larger ones than this no less.
	largePiece = 256 << 10

	// paceBytes is after how many bytes it is looked how fast the client reads. Fewer
	// would tell how fast the kernel's buffer is filled, of 4 MiB at most by default.
	paceBytes = 8 << 20

	// patience is how many times the time of a large piece the idle timeout must be.
	patience = 100
)

// pace chooses pieces by how fast a client reads. Caddy's idle timeout is for each as a
// whole: so a slow client gets Caddy's own, and one that gets larger ones would have to
// become a hundred times slower within one to be cut off.
type pace struct {
	small, large int64
	timeout      time.Duration
	fast         bool
}

// newPace begins with Caddy's pieces, and stays with them where the site says another
// size (write_max_chunk) than the default.
func newPace(idle *caddyhttp.IdleTimeoutWriter) *pace {
	small, large := int64(idle.MaxChunk), int64(idle.MaxChunk)
	if small <= 0 || small == caddyhttp.DefaultMaxWriteChunk {
		small, large = caddyhttp.DefaultMaxWriteChunk, largePiece
	}
	return &pace{small: small, large: large, timeout: idle.Deadline.Timeout}
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
