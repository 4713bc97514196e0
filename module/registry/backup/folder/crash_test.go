package folder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/generic-registry/caddy-generic-registry/module/disk"
	"github.com/generic-registry/caddy-generic-registry/module/registry"
	"github.com/generic-registry/caddy-generic-registry/module/registry/backup"
	"github.com/generic-registry/caddy-generic-registry/module/store"
	"github.com/generic-registry/caddy-generic-registry/module/storetest/memory"
)

var errCrash = errors.New("the process is gone")

// crashingFS is the disk until an operation, from which on nothing happens any more.
type crashingFS struct {
	disk.FS
	left atomic.Int64
}

func newCrashingFS(steps int) *crashingFS {
	f := &crashingFS{FS: disk.OS{}}
	f.left.Store(int64(steps))
	return f
}

func (f *crashingFS) step() error {
	if f.left.Add(-1) < 0 {
		return errCrash
	}
	return nil
}

func (f *crashingFS) Create(name string) (disk.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return &crashingFile{file, f}, err
}

func (f *crashingFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *crashingFS) Remove(name string) error {
	if f.left.Load() < 0 {
		return errCrash
	}
	return f.FS.Remove(name)
}

func (f *crashingFS) MakeDirectory(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.MakeDirectory(name)
}

func (f *crashingFS) SyncDirectory(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.SyncDirectory(name)
}

type crashingFile struct {
	disk.File
	fs *crashingFS
}

// Write writes a half of what the crash cuts.
func (f *crashingFile) Write(p []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *crashingFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

// checkWhole reads the backup in a directory as a restore does and returns its
// position.
func checkWhole(path string) (at store.Position, err error) {
	stream, err := Open(path)
	if err != nil {
		return at, err
	}
	defer stream.Close()
	reader, err := backup.NewReader(stream)
	if err != nil {
		return at, err
	}
	var lines []byte
	for err == nil {
		var piece []byte
		piece, err = reader.NextLines()
		lines = append(lines, piece...)
	}
	if err != io.EOF {
		return at, err
	}
	var blobs int64
	err = reader.CopyBlobs(context.Background(), bytes.NewReader(lines), func(_ context.Context, _ store.Blob, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if blobs = reader.End().Blobs; err == nil && blobs != int64(reader.Head().Position.Sequence) {
		err = fmt.Errorf("%d blobs as of change %d, which all published one", blobs, reader.Head().Position.Sequence)
	}
	return reader.Head().Position, err
}

func newRegistry(t *testing.T) *registry.Registry {
	metadata, metadataErr := memory.NewMetadata().Open()
	blobs, blobsErr := memory.NewBlobs().Open()
	if err := errors.Join(metadataErr, blobsErr); err != nil {
		t.Fatal(err)
	}
	reg := registry.New(metadata, blobs, registry.Options{Log: slog.New(slog.DiscardHandler), Idle: true})
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg
}

// TestABackupThatIsInterrupted, at any step on the disk: the one that was there is
// whole, or the new one is, and the next run makes the new one.
func TestABackupThatIsInterrupted(t *testing.T) {
	reg := newRegistry(t)
	var streams [][]byte
	var positions []store.Position
	var since store.Position
	next := func(from, to int, since store.Position) {
		for i := from; i < to; i++ {
			ref := store.Ref{VersionRef: store.VersionRef{Owner: "alice", Package: "p", Version: "1"}, File: fmt.Sprint("f", i)}
			content := registry.Content{Body: strings.NewReader(fmt.Sprint("content ", i)), Size: -1}
			if _, err := reg.Publish(t.Context(), ref, "alice", content, registry.Limits{}); err != nil {
				t.Fatal(err)
			}
		}
		var stream bytes.Buffer
		made, err := backup.Make(t.Context(), reg, backup.Options{Since: since}, &stream)
		if err != nil {
			t.Fatal(err)
		}
		streams, positions = append(streams, stream.Bytes()), append(positions, made.Position)
	}
	next(0, 3, since)
	next(3, 6, positions[0])
	next(6, 7, since)
	next(7, 7, positions[0])
	for name, test := range map[string]struct {
		before, stream, again int // -1 is nothing
		want                  []store.Position
	}{
		"the first":           {-1, 0, 0, []store.Position{positions[0]}},
		"an increment":        {0, 1, 3, positions[:2]}, // more has changed at the second run
		"full one over one":   {0, 2, 2, []store.Position{positions[0], positions[2]}},
		"the same once again": {2, 2, 2, []store.Position{positions[2]}},
	} {
		t.Run(name, func(t *testing.T) {
			for steps := 0; ; steps++ {
				path := filepath.Join(t.TempDir(), "backup")
				if test.before >= 0 {
					mustUnpack(t, path, disk.OS{}, streams[test.before])
				}
				err := unpackOnto(t, path, newCrashingFS(steps), streams[test.stream])
				if err != nil && !errors.Is(err, errCrash) {
					t.Fatalf("after %d steps: %v", steps, err)
				}
				at, wholeErr := checkWhole(path)
				isNone := errors.Is(wholeErr, store.ErrIncomplete) && test.before < 0 && err != nil
				if wholeErr != nil && !isNone {
					t.Fatalf("after %d steps there is no whole backup: %v", steps, wholeErr)
				}
				if wholeErr == nil && at != test.want[0] && at != test.want[len(test.want)-1] {
					t.Fatalf("after %d steps the backup is as of change %d", steps, at.Sequence)
				}
				if wholeErr != nil || at != test.want[len(test.want)-1] {
					mustUnpack(t, path, disk.OS{}, streams[test.again])
					if at, err := checkWhole(path); err != nil || at != positions[test.again] {
						t.Fatalf("after %d steps and another run it is as of change %d: %v", steps, at.Sequence, err)
					}
				}
				if err == nil {
					if steps < 10 {
						t.Errorf("it took only %d steps", steps)
					}
					return
				}
			}
		})
	}
}

func unpackOnto(t *testing.T, path string, fsys disk.FS, stream []byte) error {
	t.Helper()
	directory, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	directory.fsys = fsys
	reader, err := backup.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	err = directory.Unpack(t.Context(), reader, func(int64) {})
	if releaseErr := directory.Release(); releaseErr != nil {
		t.Fatal(releaseErr)
	}
	return err
}

func mustUnpack(t *testing.T, path string, fsys disk.FS, stream []byte) {
	t.Helper()
	if err := unpackOnto(t, path, fsys, stream); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(path, unfinished)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an unfinished backup is left: %v", err)
	}
}
