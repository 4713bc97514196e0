package integrity

import (
	"context"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// verifyPlaces is how many files a registry reads at once before parts of them are
// served. A request of a hundred bytes can ask for the reading of a large file.
const verifyPlaces = 2

// verifications are the files that are being read whole before parts of them are
// served: one reading for all who wait for one file, a few readings at a time, and
// none for which nobody waits.
type verifications struct {
	places chan struct{}

	mu      sync.Mutex
	running map[store.Locator]*sharedReading
}

// sharedReading is the reading of one file.
type sharedReading struct {
	waiting int // guarded by verifications.mu
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // once it is done
}

func newVerifications(places int) *verifications {
	return &verifications{places: make(chan struct{}, places), running: make(map[store.Locator]*sharedReading)}
}

// wait returns what verify says of a file, which runs once for all who wait at the same
// time, and ends when nobody waits any more. The error of a context that ends is that
// of this waiter only.
func (v *verifications) wait(ctx context.Context, of store.Locator, verify func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	one := v.join(of, verify)
	defer v.leave(of, one)
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *verifications) join(of store.Locator, verify func(context.Context) error) *sharedReading {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.running[of]
	if one == nil {
		ctx, cancel := context.WithCancel(context.Background())
		one = &sharedReading{cancel: cancel, done: make(chan struct{})}
		v.running[of] = one
		go v.run(ctx, one, verify)
	}
	one.waiting++
	return one
}

func (v *verifications) run(ctx context.Context, one *sharedReading, verify func(context.Context) error) {
	defer close(one.done)
	one.err = v.within(ctx, verify)
}

// within runs work while there is a place for it.
func (v *verifications) within(ctx context.Context, work func(context.Context) error) error {
	select {
	case v.places <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-v.places }()
	return work(ctx)
}

// leave ends a reading with its last waiter. Who comes then begins another one.
func (v *verifications) leave(of store.Locator, one *sharedReading) {
	v.mu.Lock()
	one.waiting--
	last := one.waiting == 0
	if last {
		delete(v.running, of)
	}
	v.mu.Unlock()
	if last {
		one.cancel()
		<-one.done // nothing is read any more when the stores are closed
	}
}
