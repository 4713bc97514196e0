package pool

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// Pool has registries by key, each with its number of users: one for each configuration
// and one for each request in progress. The last one closes it. caddy.UsagePool forgets a
// key before its value is closed, so that a reload could open a directory which is still
// in use.
type Pool struct {
	mu      sync.Mutex
	entries map[Key]*entry
	closing map[Key]<-chan struct{}
}

// Registries are those of the process. They outlive every configuration, as open
// directories do.
var Registries = New()

// New returns an empty pool.
func New() *Pool {
	return &Pool{entries: make(map[Key]*entry), closing: make(map[Key]<-chan struct{})}
}

// Key says which resources a registry consists of.
type Key struct {
	Metadata string // identity of the metadata backend, with its module ID
	Blobs    string // identity of the blob backend, with its module ID
}

// take returns the entry of a key with one more user. It opens nothing.
func (p *Pool) take(key Key) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[key]; e != nil {
		e.users++
		return e, nil
	}
	for other := range p.entries {
		if other.Metadata == key.Metadata || other.Blobs == key.Blobs {
			return nil, fmt.Errorf("%w: %s with %s, but %s with %s is in use; give each root its own metadata and blobs",
				store.ErrMismatch, key.Metadata, key.Blobs, other.Metadata, other.Blobs)
		}
	}
	e := newEntry(key, p.closing[key])
	e.users = 1
	p.entries[key] = e
	return e, nil
}

// join returns the entry of a key with one more user, or nil when no
// configuration uses it any more.
func (p *Pool) join(key Key) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[key]
	if e != nil {
		e.users++
	}
	return e
}

// ErrNoRegistry: no registry, or more than one, is what a root means.
var ErrNoRegistry = errors.New("no such registry")

// joinRoot returns the entry of a registry's root with one more user. With an
// empty root it is the only one there is.
func (p *Pool) joinRoot(root string) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*entry
	var roots []string
	for _, e := range p.entries {
		current := e.root()
		roots = append(roots, current)
		if root == "" || current == root {
			found = append(found, e)
		}
	}
	slices.Sort(roots)
	switch {
	case len(roots) == 0:
		return nil, fmt.Errorf("%w: no registry is open", ErrNoRegistry)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: none has the root %s; there are %s", ErrNoRegistry, root, strings.Join(roots, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("%w: say with root which one is meant: %s", ErrNoRegistry, strings.Join(roots, ", "))
	}
	found[0].users++
	return found[0], nil
}

// joinAll returns the entries of a root, or all with an empty one, each with one
// more user, in the order of their roots.
func (p *Pool) joinAll(root string) (entries []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if root != "" && e.root() != root {
			continue
		}
		e.users++
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(strings.Compare(a.root(), b.root()), strings.Compare(a.key.Metadata, b.key.Metadata))
	})
	return entries
}

// leave gives one use back; the last one closes the store, and waits a while for that.
func (p *Pool) leave(e *entry) {
	p.mu.Lock()
	e.users--
	if e.users > 0 {
		p.mu.Unlock()
		return
	}
	delete(p.entries, e.key)
	p.closing[e.key] = e.closed
	p.mu.Unlock()

	e.close()

	select {
	case <-e.closed:
		p.forget(e)
	default:
		go func() {
			<-e.closed
			p.forget(e)
		}()
	}
}

// forget says that an entry's store is closed.
func (p *Pool) forget(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The key may have been taken, given back and closed again meanwhile.
	if p.closing[e.key] == (<-chan struct{})(e.closed) {
		delete(p.closing, e.key)
	}
}
