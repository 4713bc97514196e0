// Package names keeps in memory which packages owners have, as far as lists of versions ask
// for them: a search looks at every name, and the records of the packages are among those
// that change most.
package names

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

const (
	// MostPackages is of how many packages a list is kept. Those of a larger owner are read
	// each time.
	MostPackages = 20_000

	// mostBytes bounds what all lists take, and mostChanges what is remembered of commits:
	// a list that nobody asked for since then is read anew.
	mostBytes   = 8 << 20
	mostChanges = 16 << 10
)

// Package is a package that has something published.
type Package struct {
	// Name is folded.
	Name string
	// ID is that of its record.
	ID uint64
	// Versions that are published. Zero in a Change: it is no longer there.
	Versions uint64
}

// Change is what a commit makes of a package.
type Change struct {
	// Owner is folded.
	Owner string
	Package
}

// Lists are the packages of the owners that were asked for. The zero value is none. All
// methods may be used concurrently.
type Lists struct {
	mu        sync.Mutex
	changes   []noted // by their commits
	forgotten uint64  // the last commit whose changes were dropped
	kept      map[string]*list
	bytes     int // of those
}

type noted struct {
	commit uint64
	Change
}

// list is what an owner had after a commit. Nobody changes the packages.
type list struct {
	packages []Package
	commit   uint64
	bytes    int
}

// Note notes what a commit changes. It is called for one commit after the other, before
// anybody can see it.
func (l *Lists) Note(commit uint64, changes []Change) {
	if len(changes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, change := range changes {
		l.changes = append(l.changes, noted{commit, change})
	}
	if len(l.changes) > mostChanges {
		dropped := len(l.changes) - mostChanges/2
		l.forgotten = l.changes[dropped-1].commit
		l.changes = slices.Clone(l.changes[dropped:])
	}
}

// Find returns the packages of a folded owner, in no order, as they are for who sees all
// commits up to one. Nobody may change them. Not known is false.
func (l *Lists) Find(owner string, seen uint64) (packages []Package, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.kept[owner]
	if kept == nil || kept.commit > seen {
		return nil, false
	}
	if kept.commit < l.forgotten {
		l.drop(owner)
		return nil, false
	}
	changed := make(map[string]Package)
	from, _ := slices.BinarySearchFunc(l.changes, kept.commit+1, func(n noted, commit uint64) int { return cmp.Compare(n.commit, commit) })
	for _, change := range l.changes[from:] {
		if change.commit <= seen && change.Owner == owner {
			changed[change.Name] = change.Package
		}
	}
	kept.commit = seen
	packages = kept.packages
	if len(changed) > 0 {
		packages = apply(packages, changed)
		l.keep(owner, seen, packages)
	}
	return packages, true
}

// Add adds a package to a list that is to be kept. One that has too many stays as it is.
func Add(packages []Package, p Package) []Package {
	if len(packages) > MostPackages {
		return packages
	}
	return append(packages, p)
}

// Keep keeps what an owner has for who sees all commits up to one, unless that is too much
// or a later list is there.
func (l *Lists) Keep(owner string, seen uint64, packages []Package) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept := l.kept[owner]; kept == nil || kept.commit < seen {
		l.keep(owner, seen, packages)
	}
}

// keep keeps a list in place of the last, unless it is too large. Requires l.mu.
func (l *Lists) keep(owner string, seen uint64, packages []Package) {
	l.drop(owner)
	if len(packages) > MostPackages {
		return
	}
	kept := &list{packages, seen, sizeOf(owner, packages)}
	if l.bytes += kept.bytes; l.kept == nil || l.bytes > mostBytes {
		l.kept, l.bytes = make(map[string]*list), kept.bytes
	}
	l.kept[owner] = kept
}

// drop requires l.mu.
func (l *Lists) drop(owner string) {
	if kept := l.kept[owner]; kept != nil {
		l.bytes -= kept.bytes
		delete(l.kept, owner)
	}
}

// sizeOf is about what a list takes.
func sizeOf(owner string, packages []Package) int {
	const list, each = 200, 40
	bytes := list + len(owner)
	for _, p := range packages {
		bytes += each + len(p.Name)
	}
	return bytes
}

// apply returns what the changes, by name, make of packages.
func apply(packages []Package, changed map[string]Package) []Package {
	made := make([]Package, 0, len(packages)+len(changed))
	for _, p := range packages {
		if _, ok := changed[p.Name]; !ok {
			made = append(made, p)
		}
	}
	for p := range maps.Values(changed) {
		if p.Versions > 0 {
			made = append(made, p)
		}
	}
	return made
}
