package nodes

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

const (
	// holdLease is for how long bytes are held for a process that is gone without a word.
	holdLease = 2 * time.Minute
	// holdRenewal is how often a hold is renewed.
	holdRenewal = 10 * time.Second
)

// errHold: other processes may delete what this one reads.
var errHold = fmt.Errorf("%w: PostgreSQL could not be told in time that bytes must stay, and other nodes may delete them", store.ErrUnavailable)

// Hold implements store.Holder.
func (n *Nodes) Hold(ctx context.Context) (held context.Context, end func(), err error) {
	id, begun := rand.Text(), time.Now()
	if err := n.db.Write(ctx, `DELETE FROM {s}.hold WHERE until < now()`); err != nil {
		return nil, nil, err
	}
	if err := n.db.Write(ctx, `INSERT INTO {s}.hold (id, until) VALUES ($1, now() + $2::interval) ON CONFLICT DO NOTHING`, id, holdLease); err != nil {
		return nil, nil, err
	}
	held, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { n.renew(held, id, begun, cancel) })
	return held, func() {
		cancel(nil)
		renewing.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		_ = n.db.Write(ctx, `DELETE FROM {s}.hold WHERE id = $1`, id) // or it ends by itself
	}, nil
}

// renew renews a hold until its context ends, which it does itself when the hold may have
// ended.
func (n *Nodes) renew(ctx context.Context, id string, renewed time.Time, lost context.CancelCauseFunc) {
	again := time.NewTicker(holdRenewal)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		asked, kept := time.Now(), false
		asking, cancel := context.WithDeadline(ctx, renewed.Add(holdLease))
		err := n.db.WriteRow(asking, &kept, `WITH kept AS (UPDATE {s}.hold SET until = now() + $2::interval WHERE id = $1 AND until > now() RETURNING id)
			SELECT EXISTS (SELECT FROM kept)`, id, holdLease)
		cancel()
		switch {
		case err == nil && kept:
			renewed = asked
		case err == nil, time.Since(renewed) > holdLease-holdRenewal:
			lost(errHold)
			return
		}
	}
}

var _ store.Holder = (*Nodes)(nil)
