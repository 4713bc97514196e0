package packs

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
)

// gate stops calls of the disk until it is opened.
type gate struct {
	stopped, opened chan struct{} // stopped is closed when the first call waits
	stop            func()
}

func newGate() *gate {
	g := &gate{stopped: make(chan struct{}), opened: make(chan struct{})}
	g.stop = sync.OnceFunc(func() { close(g.stopped) })
	return g
}

func (g *gate) pass() {
	g.stop()
	<-g.opened
}

// stoppedReader is a file of which the content of one blob takes long to read.
type stoppedReader struct {
	*os.File
	gate *gate
}

func (r stoppedReader) ReadAt(p []byte, at int64) (int, error) {
	if at == roomForLines.At(0) {
		r.gate.pass()
	}
	return r.File.ReadAt(p, at)
}

// TestASlowReadHoldsUpNobodyElse: while the disk tries to read a blob, others are put into the same
// pack, lines are carried, packs are begun, and other blobs of the pack are read.
// Seen to fail with a lock that readers hold for writing a mark, and with a pack that waits to be
// removed although it has blobs.
func TestASlowReadHoldsUpNobodyElse(t *testing.T) {
	path, slow := t.TempDir(), newGate()
	s, err := Open(path, Options{FS: disk.OS{}, Log: discard, HasRoom: func(int64) bool { return true }, IsThere: func() error { return nil }, Layout: roomForLines,
		reader: func(file *os.File) io.ReaderAt { return stoppedReader{file, slow} }})
	must(t, err)
	_, err = s.Carried(storeID, 0, path)
	must(t, err)
	first := mustPut(t, s, contentOf(0, 100))
	read := make(chan error, 1)
	go func() {
		_, err := s.Read(first, 100)
		read <- err
	}()
	<-slow.stopped
	staged := mustPut(t, s, contentOf(1, 100))
	mustCarry(t, s, 1, 0, staged)
	for i := range 3 {
		mustPut(t, s, contentOf(i, 60_000)) // the second begins another pack
	}
	mustCarry(t, s, 2, 1)
	wantContent(t, s, staged, contentOf(1, 100))
	close(slow.opened)
	must(t, <-read)
	must(t, s.Close())
}

// stoppedDisk is one that takes long to write, when it is asked to.
type stoppedDisk struct {
	disk.OS
	gate *gate // nil: it does not take long
}

func (d *stoppedDisk) Edit(name string) (disk.File, error) {
	file, err := d.OS.Edit(name)
	return stoppedFile{file, d}, err
}

type stoppedFile struct {
	disk.File
	disk *stoppedDisk
}

func (f stoppedFile) WriteAt(p []byte, at int64) (int, error) {
	if f.disk.gate != nil {
		f.disk.gate.pass()
	}
	return f.File.WriteAt(p, at)
}

// TestASlowWriteHoldsUpNobodyLongerThanTheirContexts: the blob that the disk does not take ends
// with its context, and so do those behind it, which are not written later.
// Seen to fail with a blob that is staged by the goroutine of its client, and with many that wait
// to be staged whatever becomes of their clients.
func TestASlowWriteHoldsUpNobodyLongerThanTheirContexts(t *testing.T) {
	path, slow := t.TempDir(), &stoppedDisk{}
	s := joined(t, path, slow)
	named := mustPut(t, s, contentOf(1, 100))
	slow.gate = newGate()
	for i := range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := s.Put(ctx, contentOf(2+i, 100)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("blob %d that waits ends with %v, want %v", i, err, context.DeadlineExceeded)
		}
		cancel()
	}
	<-slow.gate.stopped
	if s.isNamedLast(named) {
		t.Error("a blob is named by lines that are not there")
	}
	close(slow.gate.opened)
	must(t, s.Close())
	s = mustOpen(t, path, disk.OS{}, roomForLines)
	if got := len(walked(t, s)); got != 3 {
		t.Errorf("the pack has %d blobs, want two and the one that the disk did not take", got)
	}
	must(t, s.Close())
}
