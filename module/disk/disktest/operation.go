// Package disktest is a file system for tests: a real directory in which a chosen operation
// fails, or the machine crashes at it. After a power cut, the directory contains what was
// synced and nothing else. Nothing is really synced, so that thousands of cases are cheap.
package disktest

import (
	"errors"
	"fmt"
	"io/fs"
)

// Kind is what an operation does.
type Kind string

// The kinds: one for each method of disk.FS and disk.File.
const (
	Create        Kind = "create"
	Append        Kind = "append"
	Edit          Kind = "edit"
	Write         Kind = "write"
	WriteAt       Kind = "write at"
	Punch         Kind = "punch"
	Sync          Kind = "sync"
	Flush         Kind = "flush"
	Truncate      Kind = "truncate"
	Allocate      Kind = "allocate"
	Allocated     Kind = "allocated"
	Close         Kind = "close"
	Rename        Kind = "rename"
	Remove        Kind = "remove"
	MakeDirectory Kind = "make directory"
	SyncDirectory Kind = "sync directory"
	Free          Kind = "free"
)

// Mode is what happens at the operation of a Fault.
type Mode int

// The modes. After a crash every operation does nothing and returns ErrCrashed;
// the one that it happened at does too.
const (
	Fail        Mode = iota + 1 // it is not done, and returns the error
	Short                       // a write does the first half of its bytes; any other Fails
	Done                        // it is done, and returns the error all the same
	CrashBefore                 // the machine crashes before it
	CrashAfter                  // the machine crashes when it is done
)

// ErrCrashed is what a machine says that has crashed: nothing, to anybody.
var ErrCrashed = errors.New("the machine has crashed")

// Fault is what goes wrong. The zero value is nothing.
type Fault struct {
	// Operation counts from 1. Zero means none.
	Operation int
	Mode      Mode
	// Err is returned in the modes Fail, Short and Done.
	Err error
}

// Operation is one that was asked for before a crash.
type Operation struct {
	Kind Kind
	// Name is the path below the FS's root, with slashes.
	Name string
	// To is the new name of a Rename.
	To string
	// Bytes of a Write, WriteAt, Punch, Truncate or Allocate.
	Bytes int64
	// From is the place of a WriteAt, a Punch or an Allocate.
	From int64
	// Err is what it returned.
	Err error
}

// String is one line for people.
func (o Operation) String() string {
	text := string(o.Kind) + " " + o.Name
	switch o.Kind {
	case Rename:
		text += " to " + o.To
	case Write, Truncate, Allocate:
		text += fmt.Sprintf(", %d bytes", o.Bytes)
	case WriteAt, Punch:
		text += fmt.Sprintf(" %d, %d bytes", o.From, o.Bytes)
	}
	return text + outcome(o.Err)
}

func outcome(err error) string {
	var path *fs.PathError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, fs.ErrExist):
		err = fs.ErrExist // the same words on every platform
	case errors.Is(err, fs.ErrNotExist):
		err = fs.ErrNotExist
	case errors.As(err, &path):
		err = path.Err
	}
	return ": " + err.Error()
}
