package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// node is a file or a directory, whatever its name, and what a power cut leaves.
type node struct {
	directory bool
	path      string // empty once it has no name
	content   []byte // of a file without a name

	// Of a file: its size, and how many bytes of it are durable. A Truncate leaves
	// in back what comes after those again. Once a sync has failed no other makes
	// the rest durable (lost), until it is cut off.
	size, durable int64
	back          []byte
	lost          bool

	// Of a file that Edit has opened: what is durable of it, and what was done since to
	// any place of it, in that order. A sync that fails loses the changes.
	edited   bool
	image    []byte
	changes  []change
	failures int

	// Of a directory: what had the names that changed since they were synced, nil
	// for nothing. Those of which a sync failed are in lostNames: a later one syncs
	// them only if they change again.
	before    map[string]*node
	lostNames map[string]bool
}

// node returns what has a path now, nil for nothing. What no operation has touched
// is durable.
func (f *FS) node(path string) *node {
	if n := f.nodes[path]; n != nil {
		return n
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	n := &node{directory: info.IsDir(), path: path, size: info.Size(), durable: info.Size()}
	f.nodes[path] = n
	return n
}

// name gives a path to a node, or takes it away with nil.
func (f *FS) name(path string, n *node) {
	parent, base := f.node(filepath.Dir(path)), filepath.Base(path)
	if parent.before == nil {
		parent.before, parent.lostNames = make(map[string]*node), make(map[string]bool)
	}
	if _, changed := parent.before[base]; !changed {
		parent.before[base] = f.nodes[path]
	}
	delete(parent.lostNames, base)
	if old := f.nodes[path]; old != nil && old.path == path {
		old.path = ""
	}
	delete(f.nodes, path)
	if n != nil {
		f.nodes[path], n.path = n, path
	}
}

// keep holds the bytes of a file whose name is about to go.
func (f *FS) keep(path string) (err error) {
	if n := f.node(path); n != nil && !n.directory {
		n.content, err = os.ReadFile(path)
	}
	return err
}

func (n *node) syncNames() {
	for name := range n.before {
		if !n.lostNames[name] {
			delete(n.before, name)
		}
	}
}

func (n *node) loseNames() {
	for name := range n.before {
		n.lostNames[name] = true
	}
}

func (n *node) syncBytes() {
	if n.edited {
		n.persist(func(int) bool { return true })
		return
	}
	if !n.lost {
		n.durable, n.back = n.size, nil
	}
}

// cutBytes prepares a truncation.
func (n *node) cutBytes(size int64) error {
	if size < n.durable {
		content, err := os.ReadFile(n.path)
		if err != nil {
			return fmt.Errorf("keeping what is cut off: %w", err)
		}
		n.back = slices.Concat(content[size:n.durable], n.back)
		n.durable = size
	}
	n.size = size
	n.lost = n.lost && size > n.durable
	return nil
}

// survives returns what a power cut leaves of a file's bytes.
func (n *node) survives(content []byte) []byte {
	if n.edited {
		return n.image
	}
	return slices.Concat(content[:min(n.durable, int64(len(content)))], n.back)
}

// Kill ends the process and not the machine: its files are closed, and what was
// done stays. The FS is of no use afterwards.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed = true
	for opened := range f.open {
		_ = opened.File.Close()
	}
	clear(f.open)
}

// PowerCut is a Kill after which the directory has nothing but what is durable:
// bytes that no Sync followed are cut off, and names are as they were when their
// directory was synced last.
func (f *FS) PowerCut() error { return f.PowerCutAfter(func(int) bool { return false }) }

// PowerCutAfter is a PowerCut before which the disk has written some of the changes to
// edited files that no Sync followed, in whatever order: written says which of those of a
// file.
func (f *FS) PowerCutAfter(written func(change int) bool) error {
	f.Kill()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		n.persist(written)
	}
	paths := make([]string, 0, len(f.nodes))
	for path, n := range f.nodes {
		paths = append(paths, path)
		if err := n.dropBytes(); err != nil {
			return err
		}
	}
	slices.Sort(paths) // a directory before what is in it
	for _, path := range paths {
		// One whose own name has changed is gone already, with all below it.
		if n := f.nodes[path]; n != nil && n.directory {
			if err := f.restoreNames(path, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropBytes leaves of a file that has a name what is durable of it, and keeps it
// for a name that comes back.
func (n *node) dropBytes() (err error) {
	if n.directory {
		return nil
	}
	if n.content, err = os.ReadFile(n.path); err != nil {
		return fmt.Errorf("reading what a power cut leaves: %w", err)
	}
	if n.edited && bytes.Equal(n.content, n.image) || !n.edited && n.durable == int64(len(n.content)) && n.back == nil {
		return nil
	}
	return os.WriteFile(n.path, n.survives(n.content), disk.FilePermissions)
}

// restoreNames gives the changed names of a directory to what had them.
func (f *FS) restoreNames(path string, n *node) error {
	for base, old := range n.before {
		place := filepath.Join(path, base)
		maps.DeleteFunc(f.nodes, func(known string, _ *node) bool {
			return known == place || strings.HasPrefix(known, place+string(filepath.Separator))
		})
		if err := errors.Join(os.RemoveAll(place), f.restore(place, old)); err != nil {
			return err
		}
	}
	return nil
}

func (f *FS) restore(place string, n *node) error {
	switch {
	case n == nil:
		return nil
	case !n.directory:
		return os.WriteFile(place, n.survives(n.content), disk.FilePermissions)
	}
	return errors.Join(os.Mkdir(place, disk.DirectoryPermissions), f.restoreNames(place, n))
}
