package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Permissions of what stores make: nobody else's business.
const (
	FilePermissions      fs.FileMode = 0o600
	DirectoryPermissions fs.FileMode = 0o700
)

// FS is the file system as stores change it. Tests put faults and crashes in its
// place; production has [OS]. All methods may run concurrently.
type FS interface {
	// Create makes a file for writing at its end, wherever that is after a Truncate.
	// fs.ErrExist when there is one of that name.
	Create(name string) (File, error)

	// Append opens a file for writing at its end. fs.ErrNotExist when there is none.
	Append(name string) (File, error)

	// Edit opens a file for writing at any place of it, with WriteAt in place of Write.
	// fs.ErrNotExist when there is none.
	Edit(name string) (File, error)

	// Rename gives a file another name, which replaces the file that has it.
	Rename(from, to string) error

	// Remove removes a file or an empty directory. fs.ErrNotExist.
	Remove(name string) error

	// MakeDirectory makes a directory. fs.ErrExist when there is one already.
	MakeDirectory(name string) error

	// SyncDirectory makes the names in a directory durable. An error must not be
	// retried: the next call may succeed though the names are lost.
	SyncDirectory(name string) error

	// Free returns the room that is left in the file system that holds a directory.
	Free(name string) (Space, error)
}

// File is a file that is being written.
type File interface {
	io.WriteCloser

	// WriteAt writes bytes at a place of a file that Edit has opened.
	io.WriterAt

	// Punch takes bytes out of a file that Edit has opened: they read as zeros from now on,
	// and the file system has their blocks back. As a write, it is durable with the next
	// Sync. errors.ErrUnsupported where the file system cannot do it: the bytes stay.
	Punch(from, bytes int64) error

	// Sync makes the bytes written so far durable, and what is needed to read them. The time
	// of the last write is not, where the system can leave it out. An error must not be
	// retried: the next call may succeed though the bytes are lost.
	Sync() error

	// Flush begins to sync what was written, in the background and unless that is in
	// progress, so that a later Sync has less to do. It promises nothing. What fails is the
	// error of a later Flush, Sync or Close, and the file is as after a Sync that failed.
	Flush() error

	// Truncate cuts the file to a size.
	Truncate(size int64) error

	// Allocate sets blocks aside for some bytes of the file, so that writing them cannot
	// fail for want of room. Its size stays. Where the file system cannot do it, nothing
	// happens.
	Allocate(from, bytes int64) error

	// Allocated returns the bytes that the file takes of the disk, written or set
	// aside: those that Free no longer counts. Zero where the system does not say.
	Allocated() (int64, error)
}

// OS is the file system of the machine.
type OS struct{}

// Create implements FS.
func (OS) Create(name string) (File, error) {
	return wrap(openFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND))
}

// Append implements FS.
func (OS) Append(name string) (File, error) {
	return wrap(openFile(name, os.O_WRONLY|os.O_APPEND))
}

func wrap(file *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &osFile{File: file}, nil
}

// Edit implements FS.
func (OS) Edit(name string) (File, error) { return wrap(openFile(name, os.O_WRONLY)) }

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// MakeDirectory implements FS.
func (OS) MakeDirectory(name string) error { return os.Mkdir(name, DirectoryPermissions) }

// SyncDirectory implements FS.
func (OS) SyncDirectory(name string) error { return syncDirectory(name) }

// spaces is what Free returned of each directory, as a *memo[Space].
var spaces sync.Map

// Free implements FS. Where there is plenty, it is as it was a moment ago.
func (OS) Free(name string) (Space, error) {
	kept, _ := spaces.LoadOrStore(name, new(memo[Space]))
	return kept.(*memo[Space]).get(func() (Space, time.Duration, error) {
		free, err := Free(name)
		return free, goodFor(free.Bytes >= plentyOfBytes && free.Files >= plentyOfFiles), err
	})
}

// Allocate implements File.
func (f *osFile) Allocate(from, bytes int64) error { return allocate(f.File, from, bytes) }

// Punch implements File.
func (f *osFile) Punch(from, bytes int64) error { return punch(f.File, from, bytes) }

// Allocated implements File.
func (f *osFile) Allocated() (int64, error) { return Allocated(f.File) }

// Open opens a file for reading. fs.ErrNotExist when there is none.
func Open(name string) (*os.File, error) { return openFile(name, os.O_RDONLY) }

const temporarySuffix = ".new"

// Temporary is the name of a file that WriteFile has not finished.
func Temporary(name string) string { return name + temporarySuffix }

// IsTemporary returns the name of which Temporary makes the given one, if it is one.
func IsTemporary(temporary string) (name string, is bool) {
	return strings.CutSuffix(temporary, temporarySuffix)
}

// WriteDurably writes a file anew, in place of one of that name. When it returns nil the
// bytes survive a power cut, but not yet the name: Place gives the file one that does. After
// an error there is no such file.
func WriteDurably(fsys FS, name string, write func(io.Writer) error) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing an unfinished one: %w", err)
	}
	file, err := fsys.Create(name)
	if err != nil {
		return err
	}
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}

// Place gives what has a name another one, which replaces the file that has it, in one step.
// When it returns nil the new name survives a power cut. After an error nobody knows which of
// the two is there.
func Place(fsys FS, from, to string) error {
	if err := fsys.Rename(from, to); err != nil {
		return err
	}
	return fsys.SyncDirectory(filepath.Dir(to))
}

// PlaceNew is Place for a name that is not there yet. After an error neither name is there, or
// the error says why: nobody may take one that may be lost for durable.
func PlaceNew(fsys FS, from, to string) error {
	err := Place(fsys, from, to)
	if err == nil {
		return nil
	}
	for _, name := range []string{from, to} {
		if removing := fsys.Remove(name); !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, removing)
		}
	}
	return err
}

// WriteFile writes a small file in one step: after a crash it is there with all of
// the text, or as it was before. When it returns nil it survives a power cut.
func WriteFile(fsys FS, name, text string) error { return writeFile(fsys, name, text, Place) }

// WriteNewFile is WriteFile for a file that is not there yet. After an error it is not
// there either, or the error says why.
func WriteNewFile(fsys FS, name, text string) error { return writeFile(fsys, name, text, PlaceNew) }

func writeFile(fsys FS, name, text string, place func(fsys FS, from, to string) error) error {
	temporary := Temporary(name)
	err := WriteDurably(fsys, temporary, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err == nil {
		err = place(fsys, temporary, name)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(name), err)
	}
	return nil
}

var _ FS = OS{}
