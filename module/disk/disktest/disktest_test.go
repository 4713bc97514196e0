package disktest_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/disk/disktest"
)

// bench is a directory with a durable start, for one case.
type bench struct {
	*testing.T
	*disktest.FS
	root string
}

// newBench has the directory d with the file d/old, of "old", and the empty
// directory empty.
func newBench(t *testing.T, fault disktest.Fault) *bench {
	t.Helper()
	b := &bench{T: t, root: t.TempDir()}
	b.must(errors.Join(os.Mkdir(b.at("d"), 0o700), os.Mkdir(b.at("empty"), 0o700), os.WriteFile(b.at("d/old"), []byte("old"), 0o600)))
	b.FS = disktest.New(b.root, fault)
	return b
}

func (b *bench) at(name string) string { return filepath.Join(b.root, filepath.FromSlash(name)) }

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// write makes a file and leaves it open.
func (b *bench) write(name, text string) disk.File {
	b.Helper()
	file, err := b.Create(b.at(name))
	b.must(err)
	return b.more(file, text)
}

func (b *bench) more(file disk.File, text string) disk.File {
	b.Helper()
	_, err := io.WriteString(file, text)
	b.must(err)
	return file
}

func (b *bench) appendTo(name, text string) disk.File {
	b.Helper()
	file, err := b.Append(b.at(name))
	b.must(err)
	return b.more(file, text)
}

func (b *bench) sync(names ...string) {
	b.Helper()
	for _, name := range names {
		b.must(b.SyncDirectory(b.at(name)))
	}
}

// edit opens d/old, or another file that is there, to write anywhere in it.
func (b *bench) edit(name string) disk.File {
	b.Helper()
	file, err := b.Edit(b.at(name))
	b.must(err)
	return file
}

func (b *bench) put(file disk.File, text string, at int64) disk.File {
	b.Helper()
	_, err := file.WriteAt([]byte(text), at)
	b.must(err)
	return file
}

func (b *bench) rename(from, to string) { b.Helper(); b.must(b.Rename(b.at(from), b.at(to))) }
func (b *bench) remove(name string)     { b.Helper(); b.must(b.Remove(b.at(name))) }
func (b *bench) mkdir(name string)      { b.Helper(); b.must(b.MakeDirectory(b.at(name))) }

// tree is all files with their text, and all directories.
func (b *bench) tree() string {
	b.Helper()
	var found []string
	b.must(filepath.WalkDir(b.root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == b.root {
			return err
		}
		name, err := filepath.Rel(b.root, path)
		if err != nil {
			return err
		}
		text := "/"
		if !entry.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = "=" + string(content)
		}
		found = append(found, filepath.ToSlash(name)+text)
		return nil
	}))
	return strings.Join(found, " ")
}

const start = "d/ d/old=old empty/"

// TestEveryOperationFails: each in every mode, the effect and what is returned.
func TestEveryOperationFails(t *testing.T) {
	for _, test := range []struct {
		kind      disktest.Kind
		do        func(b *bench) error
		after     string // what is there when it is done
		half      string // when it is cut short
		undoneToo bool   // it has no effect that shows
	}{
		{disktest.Create, func(b *bench) error { _, err := b.Create(b.at("new")); return err }, start + " new=", start, false},
		{disktest.Append, func(b *bench) error { _, err := b.Append(b.at("d/old")); return err }, start, start, true},
		{disktest.Rename, func(b *bench) error { return b.Rename(b.at("d/old"), b.at("x")) }, "d/ empty/ x=old", start, false},
		{disktest.Remove, func(b *bench) error { return b.Remove(b.at("empty")) }, "d/ d/old=old", start, false},
		{disktest.MakeDirectory, func(b *bench) error { return b.MakeDirectory(b.at("x")) }, start + " x/", start, false},
		{disktest.SyncDirectory, func(b *bench) error { return b.SyncDirectory(b.root) }, start, start, true},
		{disktest.Free, func(b *bench) error { _, err := b.Free(b.root); return err }, start, start, true},
		{disktest.Edit, func(b *bench) error { _, err := b.Edit(b.at("d/old")); return err }, start, start, true},
		{disktest.WriteAt, func(b *bench) error { _, err := b.edit("d/old").WriteAt([]byte("1234"), 1); return err }, "d/ d/old=o1234 empty/", "d/ d/old=o12 empty/", false},
		{disktest.Punch, func(b *bench) error { return b.edit("d/old").Punch(1, 1) }, "d/ d/old=o\x00d empty/", start, false},
		{disktest.Write, onFile(func(f disk.File) error { _, err := io.WriteString(f, "1234"); return err }), "d/ d/old=old1234 empty/", "d/ d/old=old12 empty/", false},
		{disktest.Sync, onFile(disk.File.Sync), start, start, true},
		{disktest.Flush, onFile(func(f disk.File) error { return f.Flush() }), start, start, true},
		{disktest.Truncate, onFile(func(f disk.File) error { return f.Truncate(1) }), "d/ d/old=o empty/", start, false},
		{disktest.Allocate, onFile(func(f disk.File) error { return f.Allocate(0, 4096) }), start, start, true},
		{disktest.Allocated, onFile(func(f disk.File) error { _, err := f.Allocated(); return err }), start, start, true},
		{disktest.Close, onFile(disk.File.Close), start, start, true},
	} {
		for _, mode := range []struct {
			name  string
			fault disktest.Fault
			want  error
			tree  string
		}{
			{"without a fault", disktest.Fault{}, nil, test.after},
			{"not done", disktest.Fault{Mode: disktest.Fail, Err: syscall.EIO}, syscall.EIO, start},
			{"cut short", disktest.Fault{Mode: disktest.Short, Err: syscall.ENOSPC}, syscall.ENOSPC, test.half},
			{"done and an error", disktest.Fault{Mode: disktest.Done, Err: syscall.EIO}, syscall.EIO, test.after},
			{"a crash before it", disktest.Fault{Mode: disktest.CrashBefore}, disktest.ErrCrashed, start},
			{"a crash after it", disktest.Fault{Mode: disktest.CrashAfter}, disktest.ErrCrashed, test.after},
		} {
			t.Run(string(test.kind)+", "+mode.name, func(t *testing.T) {
				fault := mode.fault
				if fault.Mode != 0 {
					fault.Operation = numberOf(t, test.kind, test.do)
				}
				b := newBench(t, fault)
				if err := test.do(b); !errors.Is(err, mode.want) {
					t.Errorf("error is %v, want %v", err, mode.want)
				}
				if got := b.tree(); got != mode.tree {
					t.Errorf("there is %s; want %s", got, mode.tree)
				}
				b.wantStruck(fault, mode.want == disktest.ErrCrashed)
				b.Kill()
				if got := b.tree(); got != mode.tree {
					t.Errorf("after a kill there is %s; want %s", got, mode.tree)
				}
			})
		}
	}
}

func onFile(do func(disk.File) error) func(b *bench) error {
	return func(b *bench) error {
		file, err := b.Append(b.at("d/old"))
		b.must(err)
		return do(file)
	}
}

// numberOf finds the operation of a kind in a run without faults.
func numberOf(t *testing.T, kind disktest.Kind, do func(b *bench) error) int {
	t.Helper()
	b := newBench(t, disktest.Fault{})
	defer b.Kill()
	b.must(do(b))
	i := slices.IndexFunc(b.Operations(), func(o disktest.Operation) bool { return o.Kind == kind })
	if i < 0 {
		t.Fatalf("no operation is a %s: %s", kind, b.Log(0))
	}
	return i + 1
}

func (b *bench) wantStruck(fault disktest.Fault, crashed bool) {
	b.Helper()
	if b.Struck() != (fault.Operation > 0) || b.Crashed() != crashed {
		b.Errorf("struck: %v, crashed: %v", b.Struck(), b.Crashed())
	}
	_, err := b.Free(b.root)
	if errors.Is(err, disktest.ErrCrashed) != crashed {
		b.Errorf("the next operation: %v", err)
	}
}

// TestAFaultStrikesOnce: what comes before and after it is done.
func TestAFaultStrikesOnce(t *testing.T) {
	b := newBench(t, disktest.Fault{Operation: 2, Mode: disktest.Fail, Err: syscall.EIO})
	for i, want := range []error{nil, syscall.EIO, nil} {
		if b.Struck() != (i > 1) {
			t.Errorf("before operation %d: struck is %v", i+1, b.Struck())
		}
		if err := b.MakeDirectory(b.at(fmt.Sprint(i))); !errors.Is(err, want) {
			t.Errorf("operation %d: %v", i+1, err)
		}
	}
	want := "make directory 0\nmake directory 1: input/output error\nmake directory 2\n"
	if got := b.Log(0); got != want {
		t.Errorf("log is %s", got)
	}
	if got := b.Log(2); got != "make directory 2\n" {
		t.Errorf("the end of the log is %s", got)
	}
}

func TestAFileIsClosedWhateverCloseSays(t *testing.T) {
	b := newBench(t, disktest.Fault{Operation: 3, Mode: disktest.Fail, Err: syscall.EIO})
	file := b.write("x", "x")
	if err := file.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("closing: %v", err)
	}
	if _, err := io.WriteString(file, "more"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("writing to it: %v", err)
	}
	if err := file.Sync(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("syncing it: %v", err)
	}
}
