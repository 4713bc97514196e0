package module

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/store"
)

// pool has the stores of the process, by key, each with its number of users: one
// for each configuration and one for each request under way. The last one closes
// it. caddy.UsagePool forgets a key before its value is closed, so that a reload
// could open a directory which is still in use.
type pool struct {
	mu      sync.Mutex
	entries map[storeKey]*entry
	closing map[storeKey]<-chan struct{}
}

// stores outlives every configuration, as open directories do.
var stores = &pool{
	entries: make(map[storeKey]*entry),
	closing: make(map[storeKey]<-chan struct{}),
}

// storeKey says which resources a store consists of.
type storeKey struct {
	metadata string // identity of the metadata backend, with its module ID
	blobs    string // identity of the blob backend, with its module ID
}

// take returns the entry of a key with one more user. It opens nothing.
func (p *pool) take(key storeKey) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.entries[key]; e != nil {
		e.users++
		return e, nil
	}
	for other := range p.entries {
		if other.metadata == key.metadata || other.blobs == key.blobs {
			return nil, fmt.Errorf("%w: %s with %s, but %s with %s is in use; give each root its own metadata and blobs",
				store.ErrMismatch, key.metadata, key.blobs, other.metadata, other.blobs)
		}
	}
	e := newEntry(key, p.closing[key])
	e.users = 1
	p.entries[key] = e
	return e, nil
}

// join returns the entry of a key with one more user, or nil when no
// configuration uses it any more.
func (p *pool) join(key storeKey) *entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[key]
	if e != nil {
		e.users++
	}
	return e
}

// joinRoot returns the entry of a registry's root with one more user. With an
// empty root it is the only one there is.
func (p *pool) joinRoot(root string) (*entry, error) {
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
		return nil, fmt.Errorf("%w: no registry is open", errNoRoot)
	case len(found) == 0:
		return nil, fmt.Errorf("%w: none has the root %s; there are %s", errNoRoot, root, strings.Join(roots, ", "))
	case len(found) > 1:
		return nil, fmt.Errorf("%w: say with root which one is meant: %s", errNoRoot, strings.Join(roots, ", "))
	}
	found[0].users++
	return found[0], nil
}

// joinAll returns the entries of a root, or all with an empty one, each with one
// more user, in the order of their roots.
func (p *pool) joinAll(root string) (entries []*entry) {
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
		return cmp.Or(strings.Compare(a.root(), b.root()), strings.Compare(a.key.metadata, b.key.metadata))
	})
	return entries
}

// leave gives one use back; the last one closes the store, and waits a while for that.
func (p *pool) leave(e *entry) {
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
func (p *pool) forget(e *entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// The key may have been taken, given back and closed again meanwhile.
	if p.closing[e.key] == (<-chan struct{})(e.closed) {
		delete(p.closing, e.key)
	}
}
