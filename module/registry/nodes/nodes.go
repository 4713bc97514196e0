// Package nodes knows the other processes that share the registry's stores, and which of them
// does what one is enough for. Where the metadata store knows of none, this one does all.
package nodes

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/store/waiting"
)

const (
	// Interval is how often nodes meet.
	Interval = 10 * time.Second
	// clockTolerance is how far clocks may differ: versions are listed by the times of
	// publishes.
	clockTolerance = 2 * time.Second
)

// Nodes are the processes that share the stores. All methods may run concurrently.
type Nodes struct {
	shared store.Nodes // nil when no other process can be there
	name   string
	log    *slog.Logger

	due     chan struct{} // holds one token when it is time to meet at once
	rules   atomic.Pointer[string]
	met     atomic.Pointer[Health]
	telling sync.Mutex
	told    waiting.Lasting
}

// Health is who is there.
type Health struct {
	// Nodes are all that were there when they last met, this one too. None where no other
	// process can be there.
	Nodes []store.Node
	// Ahead is how far the clock of this machine is ahead of the metadata store's.
	Ahead time.Duration
}

// New returns the nodes of a metadata store, of which one is this process.
func New(metadata store.MetadataStore, name string, log *slog.Logger) *Nodes {
	shared, _ := metadata.(store.Nodes)
	return &Nodes{shared: shared, name: name, log: log, due: make(chan struct{}, 1)}
}

// SetRules has other nodes know the rules of this one, by their digest. It meets none before.
func (n *Nodes) SetRules(digest string) {
	n.rules.Store(&digest)
	select {
	case n.due <- struct{}{}:
	default: // a token that is there already will do
	}
}

// MeetingDue has a token when this node has something to tell the others at once, such as that
// it is there.
func (n *Nodes) MeetingDue() <-chan struct{} { return n.due }

// Met tells who is there, at once.
func (n *Nodes) Met() Health {
	if met := n.met.Load(); met != nil {
		return *met
	}
	return Health{}
}

// Meet meets the other nodes, and returns how many there are. It logs what should not be.
func (n *Nodes) Meet(ctx context.Context) (others int, err error) {
	rules := n.rules.Load()
	if n.shared == nil || rules == nil {
		return 0, nil
	}
	all, ahead, err := n.shared.Meet(ctx, n.name, *rules)
	if err != nil {
		return 0, fmt.Errorf("meeting other nodes: %w", err)
	}
	met := Health{Nodes: all, Ahead: ahead}
	n.met.Store(&met)
	problems := met.Problems()
	n.telling.Lock()
	defer n.telling.Unlock()
	if text := strings.Join(problems, "; "); text != "" && n.told.IsNews(text) {
		n.log.Warn("several nodes have this registry open, and are not alike", slog.Any("problems", problems))
	}
	return len(all) - 1, nil
}

// Problems says what an administrator should look at.
func (h Health) Problems() (problems []string) {
	if h.Ahead.Abs() > clockTolerance {
		direction := "ahead of"
		if h.Ahead < 0 {
			direction = "behind"
		}
		problems = append(problems, fmt.Sprintf("the clock of this machine is %v %s the metadata store's: versions are listed in the order of these clocks; set it right", h.Ahead.Abs().Round(time.Second), direction))
	}
	var self store.Node
	for _, node := range h.Nodes {
		if node.IsSelf {
			self = node
		}
	}
	for _, node := range h.Nodes {
		switch {
		case node.IsSelf:
		case node.Name == self.Name:
			problems = append(problems, fmt.Sprintf("another node has the name %s too, by its machine and root: both do what one is enough for; give the machines names of their own", node.Name))
		case node.Rules != self.Rules:
			problems = append(problems, fmt.Sprintf("node %s has other rules than this one: give both the same configuration", node.Name))
		}
	}
	return problems
}

// Alone is work that one node is enough for, at a time: the others leave it out. What one node
// begins it goes on with, unless it is not there for the lease.
func (n *Nodes) Alone(duty string, lease time.Duration, work func(context.Context) (int, error)) func(context.Context) (int, error) {
	if n.shared == nil {
		return work
	}
	return func(ctx context.Context) (int, error) {
		if has, err := n.Has(ctx, duty, lease); err != nil || !has {
			return 0, err
		}
		return work(ctx)
	}
}

// Has tells whether this node has a duty, for a lease from now on.
func (n *Nodes) Has(ctx context.Context, duty string, lease time.Duration) (bool, error) {
	if n.shared == nil {
		return true, nil
	}
	has, err := n.shared.TakeDuty(ctx, n.name, duty, lease)
	if err != nil {
		return false, fmt.Errorf("asking which node is to do it: %w", err)
	}
	return has, nil
}

// Duty is Has for one duty. Nil when no other process can have it.
func (n *Nodes) Duty(duty string) func(ctx context.Context, lease time.Duration) (bool, error) {
	if n.shared == nil {
		return nil
	}
	return func(ctx context.Context, lease time.Duration) (bool, error) { return n.Has(ctx, duty, lease) }
}
