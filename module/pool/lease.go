package pool

import "context"

// Lease is one configuration's use of a registry.
type Lease struct {
	pool   *Pool
	entry  *entry
	config *Config
}

// Take takes a registry into use for the life of a configuration. It opens nothing. The
// error is store.ErrMismatch when one half of the registry is another registry's.
func (p *Pool) Take(config *Config) (*Lease, error) {
	e, err := p.take(config.Key())
	if err != nil {
		return nil, err
	}
	e.named.CompareAndSwap(nil, &config.Root) // until it is started
	return &Lease{pool: p, entry: e, config: config}, nil
}

// Start has the registry opened, or gives the open one the configuration's settings. The
// error is a fault of the configuration. A fault that passes is not an error, nor is an
// opening that takes longer than ctx: both go on in the background.
func (l *Lease) Start(ctx context.Context) error { return l.entry.start(ctx, l.config) }

// Return gives the registry back, once. The settings of the configuration that serves on
// count again. The last user closes the registry, and waits a while for that.
func (l *Lease) Return() {
	l.entry.retire(l.config)
	l.pool.leave(l.entry)
}
