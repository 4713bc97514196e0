package disktest

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// FS implements disk.FS.
type FS struct {
	root  string
	fault Fault

	mu         sync.Mutex // held while an operation is done
	operations []Operation
	crashed    bool
	open       map[*file]bool
	nodes      map[string]*node // by path, of what operations have touched
}

// New returns the file system of a directory, whose content now is durable. Only
// operations through it are known, so all changes must be.
func New(root string, fault Fault) *FS {
	if resolved, err := filepath.EvalSymlinks(root); err == nil {
		root = resolved
	}
	return &FS{root: root, fault: fault, nodes: make(map[string]*node), open: make(map[*file]bool)}
}

// Operations returns what was asked for so far.
func (f *FS) Operations() []Operation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Operation(nil), f.operations...)
}

// Log is the operations from the one after a number on, a line for each.
func (f *FS) Log(after int) string {
	var text strings.Builder
	for _, o := range f.Operations()[after:] {
		fmt.Fprintln(&text, o)
	}
	return text.String()
}

// Struck tells whether the fault has happened.
func (f *FS) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault.Operation > 0 && len(f.operations) >= f.fault.Operation
}

// Crashed tells whether the machine has.
func (f *FS) Crashed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// action is what an operation does: all of it, what it does when it is cut short
// (nil where there is no such thing), and what is lost when it fails (nil: nothing).
type action struct {
	do    func() error
	short func() error
	lose  func()
}

// run numbers an operation and does it, as far as the fault lets it.
func (f *FS) run(o Operation, a action) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return ErrCrashed
	}
	o.Name, o.To = f.below(o.Name), f.below(o.To)
	f.operations = append(f.operations, o)
	number := len(f.operations)
	err := f.strike(number, o, a)
	f.operations[number-1].Err = err
	return err
}

func (f *FS) strike(number int, o Operation, a action) error {
	if number != f.fault.Operation {
		return a.do()
	}
	failure := &fs.PathError{Op: string(o.Kind), Path: o.Name, Err: f.fault.Err}
	switch f.fault.Mode {
	case Done:
		_ = a.do() // nobody hears what it says
		return failure
	case CrashBefore:
		f.crashed = true
		return ErrCrashed
	case CrashAfter:
		_ = a.do()
		f.crashed = true
		return ErrCrashed
	case Short:
		if a.short != nil {
			_ = a.short()
			return failure
		}
	}
	if a.lose != nil {
		a.lose()
	}
	return failure
}

func (f *FS) below(path string) string {
	if path == "" {
		return ""
	}
	if name, err := filepath.Rel(f.root, path); err == nil {
		path = name
	}
	return filepath.ToSlash(path)
}

// Create implements disk.FS.
func (f *FS) Create(name string) (disk.File, error) {
	return f.openFile(Operation{Kind: Create, Name: name}, disk.OS{}.Create)
}

// Append implements disk.FS.
func (f *FS) Append(name string) (disk.File, error) {
	return f.openFile(Operation{Kind: Append, Name: name}, disk.OS{}.Append)
}

// Edit implements disk.FS. From now on what is durable of the file is kept apart.
func (f *FS) Edit(name string) (disk.File, error) {
	return f.openFile(Operation{Kind: Edit, Name: name}, func(name string) (disk.File, error) {
		opened, err := disk.OS{}.Edit(name)
		if err != nil {
			return nil, err
		}
		return opened, f.node(name).keepImage()
	})
}

func (f *FS) openFile(o Operation, open func(string) (disk.File, error)) (disk.File, error) {
	name, opened := o.Name, &file{fsys: f, name: o.Name}
	err := f.run(o, action{do: func() (err error) {
		opened.node = f.node(name)
		if opened.File, err = open(name); err != nil {
			return err
		}
		f.open[opened] = true
		if opened.node == nil {
			opened.node = new(node)
			f.name(name, opened.node)
		}
		opened.failures = opened.node.failures
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// Rename implements disk.FS, for files.
func (f *FS) Rename(from, to string) error {
	return f.run(Operation{Kind: Rename, Name: from, To: to}, action{do: func() error {
		moved := f.node(from)
		if moved != nil && moved.directory {
			return errors.New("this file system renames no directories")
		}
		if err := f.keep(to); err != nil {
			return err
		}
		if err := (disk.OS{}).Rename(from, to); err != nil {
			return err
		}
		f.name(from, nil)
		f.name(to, moved)
		return nil
	}})
}

// Remove implements disk.FS.
func (f *FS) Remove(name string) error {
	return f.run(Operation{Kind: Remove, Name: name}, action{do: func() error {
		if err := f.keep(name); err != nil {
			return err
		}
		if err := (disk.OS{}).Remove(name); err != nil {
			return err
		}
		f.name(name, nil)
		return nil
	}})
}

// MakeDirectory implements disk.FS.
func (f *FS) MakeDirectory(name string) error {
	return f.run(Operation{Kind: MakeDirectory, Name: name}, action{do: func() error {
		if err := (disk.OS{}).MakeDirectory(name); err != nil {
			return err
		}
		f.name(name, &node{directory: true})
		return nil
	}})
}

// SyncDirectory implements disk.FS.
func (f *FS) SyncDirectory(name string) error {
	return f.run(Operation{Kind: SyncDirectory, Name: name}, action{
		do: func() error {
			n := f.node(name)
			if n == nil {
				return fs.ErrNotExist
			}
			n.syncNames()
			return nil
		},
		lose: func() {
			if n := f.node(name); n != nil {
				n.loseNames()
			}
		},
	})
}

// Free implements disk.FS.
func (f *FS) Free(name string) (free disk.Space, err error) {
	err = f.run(Operation{Kind: Free, Name: name}, action{do: func() (err error) {
		free, err = disk.OS{}.Free(name)
		return err
	}})
	return free, err
}

var _ disk.FS = (*FS)(nil)
