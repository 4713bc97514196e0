package entries

import "sync"

// directorySync makes names durable for everybody who waits: commits that need
// the same directory synced at the same moment share one sync of it. Opening the
// directory anew for each round, an error reaches just those who waited on it. Who gave
// a name meanwhile may have lost it too, and is told by the epoch (Store.confirm).
type directorySync struct {
	sync func(path string) error

	mu     sync.Mutex
	queues map[string]*syncQueue
}

// syncQueue is one directory's rounds: at most one running, one gathering.
type syncQueue struct{ running, gathering *syncRound }

type syncRound struct {
	done chan struct{}
	err  error // valid once done is closed
}

func newDirectorySync(sync func(string) error) *directorySync {
	return &directorySync{sync: sync, queues: make(map[string]*syncQueue)}
}

// wait returns when a sync of the directory that began after the call has ended,
// with its error. A failed sync is not tried again, here or by the caller.
func (d *directorySync) wait(path string) error {
	round, previous, leading := d.join(path)
	if !leading {
		<-round.done
		return round.err
	}
	if previous != nil {
		<-previous.done
	}
	d.begin(path)
	round.err = d.sync(path)
	d.end(path)
	close(round.done)
	return round.err
}

// join finds the round to wait for. Who comes first leads it, once the previous
// one has ended.
func (d *directorySync) join(path string) (round, previous *syncRound, leading bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.queues[path]
	if queue == nil {
		queue = new(syncQueue)
		d.queues[path] = queue
	}
	if queue.gathering != nil {
		return queue.gathering, nil, false
	}
	queue.gathering = &syncRound{done: make(chan struct{})}
	return queue.gathering, queue.running, true
}

// begin closes the gathering round: who comes from now on needs the next.
func (d *directorySync) begin(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.queues[path]
	queue.running, queue.gathering = queue.gathering, nil
}

func (d *directorySync) end(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	queue := d.queues[path]
	queue.running = nil
	if queue.gathering == nil {
		delete(d.queues, path)
	}
}
