package integrity

import (
	"context"
	"sync"
	"time"
)

// pacer spaces reads so that a rate is kept. Those who read spend what they have
// read, and wait until it is paid for. Its methods may run concurrently.
type pacer struct {
	// rate returns bytes a second, 0 for no limit, and what is closed when that
	// changes.
	rate func() (bytes int64, changed <-chan struct{})

	mu   sync.Mutex
	debt float64   // bytes that are not paid for
	at   time.Time // when that was so
	paid int64     // the rate since then
}

func newPacer(rate func() (int64, <-chan struct{})) *pacer {
	return &pacer{rate: rate, at: time.Now()}
}

// shortestWait is too short for a timer. What is owed for less is paid later.
const shortestWait = 5 * time.Millisecond

// spend waits until bytes are paid for, or ctx ends.
func (p *pacer) spend(ctx context.Context, bytes int) error {
	rate, changed := p.rate()
	wait := p.owe(float64(bytes), rate)
	for wait >= shortestWait {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			break
		}
		rate, changed = p.rate()
		wait = p.owe(0, rate)
	}
	return ctx.Err()
}

// owe adds bytes to the debt and returns how long it takes to pay it at a rate.
func (p *pacer) owe(bytes float64, rate int64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.debt = max(0, p.debt-now.Sub(p.at).Seconds()*float64(p.paid)) + bytes
	p.at, p.paid = now, rate
	if rate <= 0 {
		p.debt = 0
		return 0
	}
	return time.Duration(min(p.debt/float64(rate)*float64(time.Second), float64(scrubPoll)))
}
